/* Prints date and time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pecan.h"
#include "pecan/clock.h"

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static void print_date(uint64_t seconds)
{
	static const unsigned char lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t days = seconds / 86400;
	unsigned of_day = seconds % 86400, year = 1970, month = 0;
	for (; days >= 365u + is_leap(year); year++)
		days -= 365u + is_leap(year);
	for (; days >= lengths[month] + (month == 1 && is_leap(year) ? 1u : 0u); month++)
		days -= lengths[month] + (month == 1 && is_leap(year) ? 1u : 0u);
	printf("%u-%02u-%02u %02u:%02u:%02u UTC\n", year, month + 1, (unsigned)days + 1, of_day / 3600,
		of_day / 60 % 60, of_day % 60);
}

int main(int argc, char **argv)
{
	bool as_seconds = argc == 2 && strcmp(argv[1], "seconds") == 0;
	if (argc > 1 && !as_seconds) {
		puts("usage: date [seconds]");
		return 2;
	}
	uint64_t seconds;
	enum pecan_error error = clock_seconds(pecan_channel("clock"), &seconds);
	if (error != PECAN_OK) {
		printf("date: %s\n", pecan_error_text(error));
		return EXIT_FAILURE;
	}
	if (seconds == 0) {
		puts("date: the clock says no time");
		return EXIT_FAILURE;
	}
	if (as_seconds)
		printf("%lu\n", (unsigned long)seconds);
	else
		print_date(seconds);
	return EXIT_SUCCESS;
}
