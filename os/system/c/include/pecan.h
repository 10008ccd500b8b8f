/* What a component in C can do. Each function is the one of pecan-component of that name, in C's clothes. */
#ifndef PECAN_H
#define PECAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "pecan/abi.h"

/* The address of a capability. */
typedef uint64_t pecan_cap;

/* A message, as it is before it is sent and after it was received: a label and words. */
struct pecan_message {
	uint64_t label;
	uint64_t length;
	uint64_t words[PECAN_MESSAGE_WORDS];
};

/* Why a call gave no result. The numbers are those that travel. */
enum pecan_error {
	PECAN_OK = 0,
	PECAN_NO_SUCH_METHOD = 1, /* or the server speaks another version of the protocol */
	PECAN_GARBLED = 2,
	PECAN_BUSY = 3,
	PECAN_DROPPED = 4,
	PECAN_TOO_LONG = 5,
	PECAN_NO_CHANNEL = 6,
	PECAN_GONE = 7,
	PECAN_SERVER_RESTARTED = 8, /* it may have carried out the call, or not */
};

/* The error, in words. */
const char *pecan_error_text(enum pecan_error error);

/* The component itself: defined by its author. What it returns is the component's status, 0 for success. */
int main(int argc, char **argv);

/* The endpoint that a role of this component leads to; 0 if the description connects it to nothing. */
pecan_cap pecan_channel(const char *role);

/* Sends a message, and waits for the answer, which takes its place. */
void pecan_call(pecan_cap endpoint, struct pecan_message *message);

/* Prints bytes where the component's output goes. */
void pecan_print(const char *text, size_t length);

/* The processor's time-stamp counter, and how many of its ticks make a microsecond. */
uint64_t pecan_ticks(void);
uint64_t pecan_tsc_mhz(void);

/* A range of I/O ports, by the name that the description gives it; null if there is none. */
struct pecan_ports;
const struct pecan_ports *pecan_ports(const char *name);

/* Reads or writes the port `offset` after the first. False if that is not in the range. */
bool pecan_read8(const struct pecan_ports *ports, uint16_t offset, uint8_t *value);
bool pecan_write8(const struct pecan_ports *ports, uint16_t offset, uint8_t value);

/* An interrupt, by the name that the description gives it; null if there is none. */
struct pecan_irq;
const struct pecan_irq *pecan_irq(const char *name);

/* Whether it is among the signals that a server is told. */
bool pecan_irq_is_in(const struct pecan_irq *irq, uint64_t bits);

/* Lets the next one come. */
bool pecan_irq_acknowledge(const struct pecan_irq *irq);

/* Who called: the number of the role that was called, in the order of the roles' names, and the client's place. */
struct pecan_caller {
	uint8_t role;
	size_t place;
};

/* Serves for ever. `call` answers a call: the answer takes the message's place. The headers of services have a function to do
 * it with. `signal` is told the bits of interrupts; it may be null. */
typedef void (*pecan_call_handler)(void *state, struct pecan_caller caller, struct pecan_message *message);
typedef void (*pecan_signal_handler)(void *state, uint64_t bits);
_Noreturn void pecan_serve(pecan_call_handler call, pecan_signal_handler signal, void *state);

/* --- What the headers of services are made of --- */

/* A message that is being read or written: bad once something did not fit, or was not there. */
struct pecan_cursor {
	struct pecan_message *message;
	size_t at;
	bool bad;
};

static inline struct pecan_cursor pecan_write(struct pecan_message *message, uint64_t label)
{
	message->label = label;
	message->length = 0;
	return (struct pecan_cursor){message, 0, false};
}

static inline struct pecan_cursor pecan_read(struct pecan_message *message)
{
	return (struct pecan_cursor){message, 0, message->length > PECAN_MESSAGE_WORDS};
}

static inline void pecan_put_word(struct pecan_cursor *to, uint64_t word)
{
	if (to->at < PECAN_MESSAGE_WORDS) {
		to->message->words[to->at++] = word;
		to->message->length = to->at;
	} else {
		to->bad = true;
	}
}

/* Bytes: a word with their number, then the bytes, eight in a word. */
static inline void pecan_put_bytes(struct pecan_cursor *to, const void *bytes, size_t length)
{
	size_t words = length / 8 + (length % 8 != 0);
	if (words >= PECAN_MESSAGE_WORDS - to->at) {
		to->bad = true;
		return;
	}
	pecan_put_word(to, length);
	if (length % 8 != 0)
		to->message->words[to->at + words - 1] = 0;
	memcpy(&to->message->words[to->at], bytes, length);
	to->at += words;
	to->message->length = to->at;
}

static inline uint64_t pecan_take_word(struct pecan_cursor *from, uint64_t most)
{
	if (from->bad || from->at >= from->message->length || from->message->words[from->at] > most) {
		from->bad = true;
		return 0;
	}
	return from->message->words[from->at++];
}

/* Where the bytes are in the message; they stay there until the message is written to. */
static inline const char *pecan_take_bytes(struct pecan_cursor *from, size_t *length)
{
	uint64_t count = pecan_take_word(from, 8 * PECAN_MESSAGE_WORDS);
	size_t words = count / 8 + (count % 8 != 0);
	const char *bytes = (const char *)&from->message->words[from->at];
	*length = 0;
	if (from->bad || words > from->message->length - from->at) {
		from->bad = true;
		return bytes;
	}
	from->at += words;
	*length = count;
	return bytes;
}

#endif
