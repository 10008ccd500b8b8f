//! A server whose answers are wrong, or with the argument `mute` one that never answers, or with `hang` one that some
//! calls keep busy for ever, or with `frail` one that dies of some.
#![no_std]
#![no_main]

use pecan_component::{
    main,
    pecan::LongMessage,
    serve,
    service::{Answered, Caller, Dispatch, Refusal, Replies, Writer},
    startup,
};

main!(main);

/// The labels of its answers: a good one, those of some errors, and some that mean nothing.
const LABELS: [u64; 7] = [0, 1, 2, 8, 9, 0x100, u64::MAX >> 12];
/// One more than the words of a message.
const LENGTHS: u64 = 121;

struct Liar {
    mute: bool,
    hang: bool,
    frail: bool,
    answers: u64,
}

impl Dispatch<Self> for Liar {
    fn dispatch(
        liar: &mut Self,
        _: Caller,
        question: &LongMessage,
        _: &mut Replies,
        answer: &mut Writer,
    ) -> Result<Answered, Refusal> {
        if liar.mute {
            return Ok(Answered::Later);
        }
        if liar.hang {
            // Two words are one too many for it.
            while question.words().len() > 1 {
                core::hint::spin_loop();
            }
            answer.word(question.word(0).wrapping_add(1));
            return Ok(Answered::Now);
        }
        if liar.frail {
            assert!(question.word(0) < 1000, "this is too much");
            answer.word(question.word(0) + 1);
            return Ok(Answered::Now);
        }
        answer.reset(LABELS[(liar.answers % LABELS.len() as u64) as usize]);
        for word in 0..liar.answers % LENGTHS {
            answer.word(word.wrapping_mul(liar.answers).wrapping_sub(3));
        }
        liar.answers += 1;
        Ok(Answered::Now)
    }

    fn gone(_: &mut Self, _: usize) {}

    fn given_up(_: &mut Self, _: usize) {}
}

fn main() {
    let is = |name: &str| startup().arguments().any(|argument| argument == name);
    serve::<Liar, _>(
        &mut Liar { mute: is("mute"), hang: is("hang"), frail: is("frail"), answers: 0 },
        |_, _| (),
    )
}
