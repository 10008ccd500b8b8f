/* What there is of the C library's stdlib.h: from tinyrlibc, and the heap and the end of the component from pecan-c. */
#ifndef PECAN_STDLIB_H
#define PECAN_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

void *malloc(size_t length);
void *calloc(size_t count, size_t length);
void *realloc(void *block, size_t length);
void free(void *block);
_Noreturn void exit(int status);
_Noreturn void abort(void);
int abs(int number);
int atoi(const char *text);
long strtol(const char *restrict text, char **restrict end, int base);
unsigned long strtoul(const char *restrict text, char **restrict end, int base);
long long strtoll(const char *restrict text, char **restrict end, int base);
unsigned long long strtoull(const char *restrict text, char **restrict end, int base);
void qsort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif
