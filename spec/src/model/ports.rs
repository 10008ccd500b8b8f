//! I/O ports (manual 8.2.2).

use pecan_abi::{Error, Label};

use super::{Answer, Cap, Failure, Invocation, Step, illegal};

/// What the device behind a port answers: something that tells ports from one another.
pub fn device_word(port: u16) -> u32 {
    0x9e37_79b9u32.rotate_left(port as u32 % 32) ^ port as u32
}

impl Step {
    /// `X86_IOPortControl_Issue`: every port is in at most one range that was issued.
    pub(super) fn port_control(&mut self, inv: &Invocation) -> Answer {
        if Label::from_word(inv.label) != Some(Label::X86IoPortControlIssue) {
            return Err(illegal());
        }
        inv.need(4, 1)?;
        let wrong = |n| Failure(Error::InvalidArgument, vec![n]);
        let first = u16::try_from(inv.words[0]).map_err(|_| wrong(0))?;
        let last = u16::try_from(inv.words[1]).map_err(|_| wrong(1))?;
        if last < first {
            return Err(wrong(1));
        }
        let overlaps = |cap| matches!(cap, Cap::IoPort { first: f, last: l } if f <= last && first <= l);
        if self.s.caps.values().any(|held| overlaps(held.cap)) {
            return Err(Failure(Error::RevokeFirst, vec![]));
        }
        let dest = self.target(false, self.cap(inv.extra[0]), inv.words[2], inv.words[3])?;
        self.need_empty(dest)?;
        self.insert_copy(inv.slot, dest, Cap::IoPort { first, last });
        Ok(vec![])
    }

    /// `X86_IOPort_In8` to `X86_IOPort_Out32`: no byte outside of the range.
    pub(super) fn port(&mut self, (first, last): (u16, u16), inv: &Invocation) -> Answer {
        let (bytes, out) = match Label::from_word(inv.label) {
            Some(Label::X86IoPortIn8) => (1, false),
            Some(Label::X86IoPortIn16) => (2, false),
            Some(Label::X86IoPortIn32) => (4, false),
            Some(Label::X86IoPortOut8) => (1, true),
            Some(Label::X86IoPortOut16) => (2, true),
            Some(Label::X86IoPortOut32) => (4, true),
            _ => return Err(illegal()),
        };
        inv.need(1 + out as usize, 0)?;
        let port = inv.words[0] as u16;
        if port < first || port as u32 + bytes - 1 > last as u32 {
            return Err(illegal());
        }
        if out {
            self.written.push((port, bytes, inv.words[1] as u32));
            return Ok(vec![]);
        }
        Ok(vec![(device_word(port) & u32::MAX >> (32 - 8 * bytes)) as u64])
    }
}
