/* The PC's real-time clock. */
#include <stdio.h>
#include <stdlib.h>

#include "pecan.h"
#include "pecan/clock.h"

/* The ports, from the first of the range: which register, and what is in it. */
enum { INDEX = 0, DATA = 1 };

/* Registers, and the bits that matter here. */
enum { SECOND = 0, MINUTE = 2, HOUR = 4, DAY = 7, MONTH = 8, YEAR = 9, STATUS_A = 0x0a, STATUS_B = 0x0b };
enum { UPDATING = 0x80, HOURS_24 = 0x02, BINARY = 0x04, AFTERNOON = 0x80 };

/* How often the clock is read before it is given up: an update takes 2 ms, and a reading some microseconds. */
enum { PATIENCE = 100000 };

static const struct pecan_ports *ports;

static uint8_t reg(uint8_t index)
{
	uint8_t value = 0;
	/* The only error is a port that is not ours, and then there is no clock. */
	pecan_write8(ports, INDEX, index);
	pecan_read8(ports, DATA, &value);
	return value;
}

struct reading {
	uint8_t second, minute, hour, day, month, year;
};

static struct reading read_once(void)
{
	return (struct reading){reg(SECOND), reg(MINUTE), reg(HOUR), reg(DAY), reg(MONTH), reg(YEAR)};
}

static uint8_t number(uint8_t value, uint8_t status)
{
	return status & BINARY ? value : value / 16 * 10 + value % 16;
}

/* Days from 1 January 1970 to a day of a year from 2000 to 2099, in which every fourth year is a leap year. */
static uint64_t days(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	unsigned since_2000 = year - 2000;
	unsigned leap_days = since_2000 == 0 ? 0 : (since_2000 - 1) / 4 + 1;
	bool leap_day = since_2000 % 4 == 0 && month > 2;
	return 10957 + 365 * since_2000 + leap_days + before[month - 1] + leap_day + day - 1;
}

/* The service's one method. 0 is a clock that says no time. */
static uint64_t seconds(void *state, struct pecan_caller caller)
{
	(void)state;
	(void)caller;
	struct reading now = {0}, again;
	/* A reading is one only if nothing changed meanwhile. */
	for (int tries = 0; tries < PATIENCE; tries++) {
		if (reg(STATUS_A) & UPDATING)
			continue;
		now = read_once();
		again = read_once();
		if (!(reg(STATUS_A) & UPDATING) && memcmp(&now, &again, sizeof now) == 0)
			break;
	}
	uint8_t status = reg(STATUS_B);
	unsigned hour = number(now.hour & ~AFTERNOON, status);
	if (!(status & HOURS_24))
		hour = hour % 12 + (now.hour & AFTERNOON ? 12 : 0);
	unsigned month = number(now.month, status), day = number(now.day, status);
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23)
		return 0;
	uint64_t day_number = days(2000 + number(now.year, status), month, day);
	return ((day_number * 24 + hour) * 60 + number(now.minute, status)) * 60 + number(now.second, status);
}

static const struct clock_server server = {.seconds = seconds};

static void answer(void *state, struct pecan_caller caller, struct pecan_message *message)
{
	clock_answer(&server, state, caller, message);
}

int main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ports = pecan_ports("rtc");
	if (!ports) {
		puts("the description gives no real-time clock");
		return EXIT_FAILURE;
	}
	pecan_serve(answer, NULL, NULL);
}
