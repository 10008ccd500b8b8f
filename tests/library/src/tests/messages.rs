//! Messages, capabilities in messages, notifications.

use alloc::vec::Vec;

use pecan::{
    Cap, CapRights, LongMessage, Message, ipc,
    types::{Endpoint, Notification, Reply},
};

use crate::{Failure, Test, check, env::Env};

pub const TESTS: &[Test] = &[
    ("words_come_back_from_a_call", words_come_back),
    ("the_longest_message_arrives_whole", longest_message),
    ("later_calls_leave_a_long_message_alone", later_calls_leave_a_long_message_alone),
    ("bytes_arrive_as_they_were", bytes_arrive),
    ("bytes_behind_a_message_are_those_that_would_be_in_it", bytes_behind),
    ("the_badge_says_who_sent", badge_says_who),
    ("a_capability_arrives_in_the_receive_slot", capability_arrives),
    ("a_capability_to_the_endpoint_itself_arrives_as_its_badge", capability_is_unwrapped),
    ("signals_gather_until_they_are_taken", signals_gather),
    ("a_receive_that_does_not_block_says_that_nothing_came", non_blocking),
];

/// What the echo thread works with.
struct Echo {
    endpoint: Cap<Endpoint>,
    reply: Cap<Reply>,
}

/// Answers every message with its own words, and the badge as its label.
extern "C" fn echo(argument: usize) -> ! {
    // SAFETY: the test that started this thread keeps the structure until the thread is gone.
    let Echo { endpoint, reply } = unsafe { &*(argument as *const Echo) };
    let (mut received, mut answer) = (LongMessage::new(0), LongMessage::new(0));
    let mut badge = endpoint.recv_long(*reply, &mut received);
    loop {
        answer.reset(badge);
        for word in received.words() {
            // It was as long when it came.
            let _ = answer.push(*word);
        }
        badge = endpoint.reply_recv_long(*reply, &answer, &mut received);
    }
}

/// Starts an echo thread, and gives `action` a capability with a badge to its endpoint.
fn with_echo(
    env: &mut Env<'_>,
    action: impl FnOnce(Cap<Endpoint>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let client = objects.mint(endpoint, CapRights::ALL, 42)?;
    let echo_state = Echo { endpoint, reply: objects.make()? };
    let thread = env.thread(echo, &raw const echo_state as usize, Cap::NULL)?;
    thread.start()?;
    let result = action(client);
    thread.tcb.suspend()?;
    result
}

fn words_come_back(env: &mut Env<'_>) -> Result<(), Failure> {
    with_echo(env, |client| {
        check!(client.call(&Message::empty(9)).is_empty());
        check!(client.call(&Message::new(9, [1])).words() == [1]);
        check!(client.call(&Message::new(9, [1, 2, 3, 4])).words() == [1, 2, 3, 4]);
        let mut answer = LongMessage::new(0);
        client.call_long(&long(&[1, 2, 3, 4, 5])?, &mut answer);
        check!(answer.words() == [1, 2, 3, 4, 5]);
        Ok(())
    })
}

/// A message of these words.
fn long(words: &[u64]) -> pecan::Result<LongMessage> {
    let mut message = LongMessage::new(9);
    words.iter().try_for_each(|word| message.push(*word))?;
    Ok(message)
}

fn longest_message(env: &mut Env<'_>) -> Result<(), Failure> {
    with_echo(env, |client| {
        let words: [u64; 120] = core::array::from_fn(|n| 0x1000 + n as u64);
        let mut message = long(&words)?;
        check!(message.push(1) == Err(pecan::Error::TruncatedMessage));
        client.call_long(&long(&words)?, &mut message);
        check!(message.words() == words);
        Ok(())
    })
}

fn later_calls_leave_a_long_message_alone(env: &mut Env<'_>) -> Result<(), Failure> {
    let cspace = env.objects().slots.take(1)?;
    with_echo(env, |client| {
        let words: [u64; 20] = core::array::from_fn(|n| 0x1000 + n as u64);
        let message = long(&words)?;
        // An invocation writes its arguments to the IPC buffer, and printing makes calls where programs print by them.
        check!(cspace.offset(0).mint_from(pecan::boot::CNODE.slot(0), CapRights::ALL, 7).is_err());
        pecan_runtime::println!("(something is printed meanwhile)");
        let mut answer = LongMessage::new(0);
        client.call_long(&message, &mut answer);
        check!(cspace.offset(0).mint_from(pecan::boot::CNODE.slot(0), CapRights::ALL, 7).is_err());
        check!(client.call(&Message::new(9, [7; 4])).words() == [7; 4]);
        check!(answer.words() == words);
        Ok(())
    })
}

fn bytes_arrive(env: &mut Env<'_>) -> Result<(), Failure> {
    with_echo(env, |client| {
        let text = b"a line of text that does not fit into four registers";
        let mut message = long(&[7])?;
        message.push_bytes(text)?;
        let mut answer = LongMessage::new(0);
        client.call_long(&message, &mut answer);
        check!(answer.word(1) == text.len() as u64);
        let bytes: Vec<u8> = answer.words()[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
        check!(bytes[..text.len()] == text[..]);
        check!(message.push_bytes(&[0; 960]) == Err(pecan::Error::TruncatedMessage));
        Ok(())
    })
}

fn bytes_behind(env: &mut Env<'_>) -> Result<(), Failure> {
    with_echo(env, |client| {
        let all: [u8; 952] = core::array::from_fn(|n| n as u8 ^ 0x55);
        // What the IPC buffer has from before must not be seen.
        let full = long(&[u64::MAX; 120])?;
        let (mut behind, mut within) = (LongMessage::new(0), LongMessage::new(0));
        for words in 0..7 {
            for bytes in (0..80).chain([511, 512, 899, 900, 952 - 8 * words]) {
                let head = long(&[0x1122_3344_5566_7788; 7][..words])?;
                client.call_long(&full, &mut within);
                client.call_long(&head.with_bytes(&all[..bytes])?, &mut behind);
                let mut message = long(head.words())?;
                message.push_bytes(&all[..bytes])?;
                client.call_long(&message, &mut within);
                check!(behind.words() == within.words());
            }
            let head = long(&[0; 120][..words])?;
            check!(head.with_bytes(&[0; 960][..953 - 8 * words]).is_err());
        }
        Ok(())
    })
}

fn badge_says_who(env: &mut Env<'_>) -> Result<(), Failure> {
    with_echo(env, |client| {
        check!(client.call(&Message::empty(9)).label() == 42);
        Ok(())
    })
}

/// What a thread that receives once works with, and what it saw.
struct Receiver {
    endpoint: Cap<Endpoint>,
    reply: Cap<Reply>,
}

/// Receives a message and answers with the number of capabilities that came, and the badge of the first if it was
/// unwrapped. The receive slot is set by the message before.
extern "C" fn receiver(argument: usize) -> ! {
    // SAFETY: the test that started this thread keeps the structure until the thread is gone.
    let Receiver { endpoint, reply } = unsafe { &*(argument as *const Receiver) };
    let mut received = endpoint.recv(*reply);
    loop {
        let caps = received.caps() as u64;
        let badge = received.unwrapped_badge(0).unwrap_or(0);
        if received.label() == 1 {
            let root = pecan::boot::CNODE;
            ipc::set_receive_slot(root.slot(received.word(0)));
        }
        received = endpoint.reply_recv(*reply, &Message::new(0, [caps, badge]));
    }
}

fn capability_arrives(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let notification = objects.make::<Notification>()?;
    let state = Receiver { endpoint, reply: objects.make()? };
    let slot = objects.slots.take(1)?;
    let thread = env.thread(receiver, &raw const state as usize, Cap::NULL)?;
    thread.start()?;
    endpoint.call(&Message::new(1, [slot.index]));
    let answer = endpoint.call(&Message::empty(2).with_caps([notification.cptr()]));
    check!(answer.words() == [1, 0]);
    // What arrived is a capability to the same notification.
    // SAFETY: the other thread sent what it was sent.
    let arrived = unsafe { slot.cap::<Notification>() };
    arrived.signal();
    notification.poll();
    // The slot is full now: the next capability does not arrive.
    let answer = endpoint.call(&Message::empty(2).with_caps([notification.cptr()]));
    check!(answer.words() == [0, 0]);
    thread.tcb.suspend()?;
    Ok(())
}

fn capability_is_unwrapped(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let badged = objects.mint(endpoint, CapRights::ALL, 77)?;
    let state = Receiver { endpoint, reply: objects.make()? };
    let thread = env.thread(receiver, &raw const state as usize, Cap::NULL)?;
    thread.start()?;
    let answer = endpoint.call(&Message::empty(2).with_caps([badged.cptr()]));
    check!(answer.words() == [1, 77]);
    thread.tcb.suspend()?;
    Ok(())
}

fn signals_gather(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let notification = objects.make::<Notification>()?;
    let first = objects.mint(notification, CapRights::ALL, 1)?;
    let fourth = objects.mint(notification, CapRights::ALL, 8)?;
    check!(notification.poll() == 0);
    first.signal();
    fourth.signal();
    first.signal();
    check!(notification.wait() == 9);
    check!(notification.poll() == 0);
    Ok(())
}

fn non_blocking(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut objects = env.objects();
    let endpoint = objects.make::<Endpoint>()?;
    let reply = objects.make::<Reply>()?;
    let received = endpoint.nb_recv(reply);
    check!(received.badge == 0 && received.is_empty());
    // Nobody waits, so this is dropped.
    endpoint.nb_send(&Message::new(1, [1]));
    check!(endpoint.nb_recv(reply).badge == 0);
    Ok(())
}
