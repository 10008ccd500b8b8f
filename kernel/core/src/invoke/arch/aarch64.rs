//! Invocations of AArch64: interrupts with a trigger.

use pecan_abi::Label;
use pecan_arch::IrqSource;
use pecan_mem::Kernel;

use super::Wanted;
use crate::{
    base::error::{Decoded, Stop, SyscallError},
    invoke::{
        args::{self, aarch64::IrqIssueIrqHandlerTrigger},
        invocation::{Done, Invocation},
    },
};

/// There is nothing to invoke so far.
pub fn invoke(_k: &mut Kernel, _inv: Invocation<'_>) -> Result<Done, Stop> {
    Err(SyscallError::InvalidCapability(0).into())
}

/// No more can be asked of frames so far.
#[inline(always)]
pub fn invoke_frame(_k: &Kernel, _inv: Invocation<'_>) -> Decoded<Done> {
    Err(SyscallError::IllegalOperation)
}

/// No more can be asked of paging structures so far.
#[inline(always)]
pub fn invoke_table(_k: &Kernel, _inv: Invocation<'_>) -> Decoded<Done> {
    Err(SyscallError::IllegalOperation)
}

/// Decodes an invocation of interrupt control.
pub fn decode_handler<T>(
    k: &Kernel,
    inv: Invocation<'_>,
    claim: impl Fn(Wanted) -> Decoded<T>,
) -> Decoded<(T, IrqSource)> {
    match inv.label() {
        Some(Label::IrqIssueIrqHandler) => {
            let args = args::IrqIssueIrqHandler::decode(k, inv)?;
            let claimed = claim(Wanted { number: args.irq, dest: (args.root, args.index, args.depth) })?;
            Ok((claimed, IrqSource { edge: false }))
        }
        Some(Label::IrqIssueIrqHandlerTrigger) => {
            let args = IrqIssueIrqHandlerTrigger::decode(k, inv)?;
            let claimed = claim(Wanted { number: args.irq, dest: (args.root, args.index, args.depth) })?;
            Ok((claimed, IrqSource { edge: args.trigger != 0 }))
        }
        _ => Err(SyscallError::IllegalOperation),
    }
}

/// For tests that ask for handlers.
#[cfg(test)]
pub mod testing {
    use pecan_abi::Label;

    use crate::testing::DEPTH;

    /// Asks for the handler of an interrupt, to be put into this slot of the root CNode.
    pub fn request(dest: u64, number: u64) -> (Label, Vec<u64>) {
        (Label::IrqIssueIrqHandlerTrigger, vec![number, 1, dest, DEPTH])
    }
}

#[cfg(test)]
mod tests {
    use pecan_abi::Label;
    use pecan_arch::{IRQ_FIRST_NUMBER, IRQ_USER_MIN, IrqSource, host};

    use crate::testing::{CNODE, DEPTH, FREE, IRQ_CONTROL, World};

    #[test]
    fn interrupts_are_triggered_as_asked_for() {
        let mut w = World::new();
        let number = IRQ_FIRST_NUMBER + 3;
        assert_eq!(
            w.call(IRQ_CONTROL, Label::IrqIssueIrqHandler, &[number, FREE, DEPTH], &[CNODE]),
            Ok(vec![])
        );
        for (n, trigger) in [(1, 0), (2, 1), (3, 7)] {
            let words = [number + n, trigger, FREE + n, DEPTH];
            assert_eq!(w.call(IRQ_CONTROL, Label::IrqIssueIrqHandlerTrigger, &words, &[CNODE]), Ok(vec![]));
        }
        let edges =
            [0, 1, 2, 3].map(|n| host::irq_line(IRQ_USER_MIN + 3 + n).source.map(|s: IrqSource| s.edge));
        assert_eq!(edges, [Some(false), Some(false), Some(true), Some(true)]);
    }
}
