/* What cannot be Rust: output with variable arguments, and the call of `main`. */
#include <stdio.h>
#include <string.h>

#include "pecan.h"

int vprintf(const char *restrict format, va_list arguments)
{
	/* What is longer is cut. */
	char text[512];
	int length = vsnprintf(text, sizeof text, format, arguments);
	if (length > 0)
		pecan_print(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
	return length;
}

int printf(const char *restrict format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vprintf(format, arguments);
	va_end(arguments);
	return length;
}

int puts(const char *text)
{
	pecan_print(text, strlen(text));
	return putchar('\n');
}

int putchar(int character)
{
	char byte = (char)character;
	pecan_print(&byte, 1);
	return (unsigned char)byte;
}

/* The start of the component: what Rust calls, which does not know a function of the name `main`. */
int pecan_c_start(int argc, char **argv)
{
	return main(argc, argv);
}
