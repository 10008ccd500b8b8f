//! A service from its trait to its answers, without a kernel in between.

use pecan::{Cap, LongMessage};
use pecan_manifest::Badge;

use crate::{
    Answered, Bytes, Caller, Dispatch, IDEMPOTENT, Later, Refusal, Replies, Text, Wire, Writer, service,
};

/// How it went.
#[derive(Wire, Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Well = 0,
    Badly = 7,
}

/// Something with fields.
#[derive(Wire, Clone, PartialEq, Eq, Debug)]
struct Thing {
    name: Text<12>,
    how: How,
    number: Option<u64>,
}

/// For tests.
#[service(name = "test", version = 3)]
#[allow(clippy::too_many_arguments)] // Names that the macro must not take for its own.
trait Test {
    /// Adds.
    #[idempotent]
    fn add(&mut self, caller: Caller, a: u64, b: u8) -> u64;
    /// Borrows.
    fn length(&mut self, caller: Caller, #[max(20)] text: &str, #[max(5)] bytes: &[u8]) -> Option<Thing>;
    /// Answers later.
    fn wait(&mut self, caller: Caller, n: u64, later: Later<Bytes<4>>);
    /// Has arguments with names that the generated code could use.
    fn names(
        &mut self,
        caller: Caller,
        server: u8,
        reader: u8,
        answer: u8,
        replies: u8,
        writer: u8,
        value: u8,
    ) -> u64;
}

#[derive(Default)]
struct Server {
    waiting: Option<Later<Bytes<4>>>,
    gone: Option<usize>,
}

impl Test for Server {
    fn add(&mut self, _: Caller, a: u64, b: u8) -> u64 {
        a + u64::from(b)
    }

    fn length(&mut self, _: Caller, text: &str, bytes: &[u8]) -> Option<Thing> {
        let number = Some((text.len() + bytes.len()) as u64);
        Some(Thing { name: Text::cut(text), how: How::Badly, number })
    }

    fn wait(&mut self, _: Caller, _: u64, later: Later<Bytes<4>>) {
        self.waiting = Some(later);
    }

    fn names(&mut self, caller: Caller, s: u8, r: u8, a: u8, p: u8, w: u8, v: u8) -> u64 {
        caller.generation() + [s, r, a, p, w, v].iter().map(|n| u64::from(*n)).sum::<u64>()
    }

    fn gone(&mut self, place: usize) {
        self.gone = Some(place);
    }
}

fn number(name: &str) -> u64 {
    TestClient::METHODS.iter().find(|m| m.name == name).unwrap().number
}

fn ask(
    server: &mut Server,
    label: u64,
    fill: impl FnOnce(&mut LongMessage),
) -> (Result<Answered, Refusal>, Writer) {
    let mut question = LongMessage::new(label);
    fill(&mut question);
    let mut replies = Replies::new(&[Cap::NULL]);
    let mut answer = Writer::new(0);
    let outcome = TestDispatch::dispatch(
        server,
        Caller { badge: Badge::call(0, 1, 1) },
        &question,
        &mut replies,
        &mut answer,
    );
    (outcome, answer)
}

#[test]
fn a_call_finds_its_method_and_its_arguments() {
    let mut server = Server::default();
    let (outcome, answer) = ask(&mut server, number("add"), |m| {
        m.push(40).unwrap();
        m.push(2).unwrap();
    });
    assert_eq!(outcome, Ok(Answered::Now));
    assert_eq!(answer.message().unwrap().words(), [42]);
    let (outcome, answer) = ask(&mut server, number("length"), |m| {
        m.push_bytes(b"twelve bytes").unwrap();
        m.push_bytes(&[1, 2]).unwrap();
    });
    assert_eq!(outcome, Ok(Answered::Now));
    let thing = <Option<Thing>>::decode(&mut crate::Reader::new(answer.message().unwrap().words())).unwrap();
    let expected = Thing { name: Text::cut("twelve bytes"), how: How::Badly, number: Some(14) };
    assert_eq!(thing, Some(expected));
    let (_, answer) = ask(&mut server, number("names"), |m| (1..=6).for_each(|n| m.push(n).unwrap()));
    assert_eq!(answer.message().unwrap().words(), [22]);
}

#[test]
fn bad_calls_are_refused() {
    let mut server = Server::default();
    assert_eq!(ask(&mut server, 99, |_| ()).0, Err(Refusal::NoSuchMethod { version: 3 }));
    assert_eq!(ask(&mut server, number("add"), |m| m.push(1).unwrap()).0, Err(Refusal::Garbled));
    // Longer than its bound.
    let too_long = |m: &mut LongMessage| {
        m.push_bytes(&[b'x'; 21]).unwrap();
        m.push_bytes(&[]).unwrap();
    };
    assert_eq!(ask(&mut server, number("length"), too_long).0, Err(Refusal::Garbled));
    // There is no reply object to keep it waiting with.
    assert_eq!(ask(&mut server, number("wait"), |m| m.push(1).unwrap()).0, Err(Refusal::Busy));
    assert!(server.waiting.is_none());
}

#[test]
fn a_clients_bound_is_checked_before_anything_is_sent() {
    let client = TestClient::new(Cap::NULL);
    assert_eq!(client.length("123456789012345678901", &[]), Err(crate::CallError::TooLong));
    assert_eq!(client.length("12345678901234567890", &[]), Err(crate::CallError::NoChannel));
}

#[test]
fn the_table_says_what_the_trait_says() {
    assert_eq!(TestClient::METHODS.len(), 4);
    for method in TestClient::METHODS {
        assert_eq!(method.idempotent, method.name == "add");
        assert_eq!(method.number & IDEMPOTENT != 0, method.idempotent);
        assert!(method.number & crate::CALL != 0);
    }
    assert_eq!((TestClient::PROTOCOL, TestClient::VERSION), ("test", 3));
}

#[test]
fn a_server_is_told_who_is_gone() {
    let mut server = Server::default();
    TestDispatch::gone(&mut server, 5);
    assert_eq!(server.gone, Some(5));
}
