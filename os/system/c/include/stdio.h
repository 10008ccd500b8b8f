/* What there is of the C library's stdio.h: output, and formatting by tinyrlibc, without floating-point numbers. */
#ifndef PECAN_STDIO_H
#define PECAN_STDIO_H

#include <stdarg.h>
#include <stddef.h>

int printf(const char *restrict format, ...) __attribute__((format(printf, 1, 2)));
int vprintf(const char *restrict format, va_list arguments);
int snprintf(char *restrict to, size_t length, const char *restrict format, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *restrict to, size_t length, const char *restrict format, va_list arguments);
int puts(const char *text);
int putchar(int character);

#endif
