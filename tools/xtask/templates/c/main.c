/* The program @name@. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	printf("Hello from %s.\n", argv[0]);
	for (int n = 1; n < argc; n++)
		printf("argument %d: %s\n", n, argv[n]);
	return EXIT_SUCCESS;
}
