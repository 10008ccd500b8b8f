//! Who gets what is typed.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Somebody who waits for input, and what is wanted of it.
#[derive(Serialize, Deserialize, Debug)]
pub struct Reader<T> {
    /// The client's place.
    pub client: usize,
    /// What it wants.
    pub wants: T,
}

/// Those who wait for input, and whose the keyboard is: its owner's, unless that has lent it to another client. Without an
/// owner it is everybody's.
#[derive(Serialize, Deserialize, Debug)]
pub struct Keyboard<T> {
    readers: Vec<Reader<T>>,
    owner: Option<usize>,
    lent: Option<usize>,
    /// The owner has read or lent. Until then nothing is known, as after a restart while the owner waits for a program, and
    /// the keyboard is everybody's.
    is_known: bool,
    /// The number of the program that Ctrl-C ends; 0 for none.
    job: u64,
    interrupted: bool,
}

impl<T> Keyboard<T> {
    /// The keyboard of this client, or everybody's.
    pub const fn new(owner: Option<usize>) -> Self {
        Self { readers: Vec::new(), owner, lent: None, is_known: false, job: 0, interrupted: false }
    }

    /// The same keyboard, with those who wait taken out and each wish as something else: to hand it over.
    pub fn drain_as<U>(&mut self, mut into: impl FnMut(T) -> U) -> Keyboard<U> {
        let Self { owner, lent, is_known, job, interrupted, .. } = *self;
        let reader = |Reader { client, wants }| Reader { client, wants: into(wants) };
        let readers = self.readers.drain(..).map(reader).collect();
        Keyboard { readers, owner, lent, is_known, job, interrupted }
    }

    /// A client waits for input, in place of what it waited for before.
    pub fn wait(&mut self, client: usize, wants: T) {
        self.readers.retain(|r| r.client != client);
        self.readers.push(Reader { client, wants });
        self.is_known |= self.is_owner(client);
    }

    /// Whether what is typed now is for this client.
    pub fn is_held_by(&self, client: usize) -> bool {
        self.holder().is_none_or(|holder| holder == client)
    }

    /// Who gets what is typed; nobody in particular without an owner.
    fn holder(&self) -> Option<usize> {
        if self.is_known { self.lent.or(self.owner) } else { None }
    }

    /// Whose turn it is, of those who wait.
    fn turn(&self) -> Option<usize> {
        match self.holder() {
            Some(client) => self.readers.iter().position(|r| r.client == client),
            // The last to come is served first: who waits longer may be gone.
            None => self.readers.len().checked_sub(1),
        }
    }

    /// Takes out who gets the next input.
    pub fn next_reader(&mut self) -> Option<Reader<T>> {
        self.turn().map(|at| self.readers.remove(at))
    }

    /// Who gets the next input.
    pub fn peek(&self) -> Option<&Reader<T>> {
        self.turn().map(|at| &self.readers[at])
    }

    /// Whether the keyboard is this client's.
    pub fn is_owner(&self, client: usize) -> bool {
        self.owner == Some(client)
    }

    /// A client lends the keyboard, or takes it back, and says which program Ctrl-C ends. Whether it may: only the owner does.
    pub fn lend(&mut self, client: usize, to: Option<usize>, job: u64) -> bool {
        if self.is_owner(client) {
            (self.lent, self.job, self.is_known) = (to, job, true);
        }
        self.is_owner(client)
    }

    /// Ctrl-C was pressed, and is not input. Returns the number of the program that is to end; 0 for none that is known.
    pub fn interrupt(&mut self) -> u64 {
        self.interrupted = true;
        self.job
    }

    /// Whether Ctrl-C was pressed since the owner last asked; nobody else is told.
    pub fn take_interrupt(&mut self, client: usize) -> bool {
        self.is_owner(client) && core::mem::take(&mut self.interrupted)
    }

    /// A client does not wait for input any more.
    pub fn give_up(&mut self, client: usize) {
        self.readers.retain(|r| r.client != client);
    }

    /// A client is gone.
    pub fn leave(&mut self, client: usize) {
        self.give_up(client);
        if self.lent == Some(client) {
            self.lent = None;
        }
        if self.is_owner(client) {
            (self.lent, self.job, self.interrupted) = (None, 0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: usize = 0;

    /// A keyboard that the shell owns, and on which these clients wait.
    fn keyboard(readers: &[usize]) -> Keyboard<()> {
        let mut keyboard = Keyboard::new(Some(SHELL));
        assert!(keyboard.lend(SHELL, None, 0));
        readers.iter().for_each(|r| keyboard.wait(*r, ()));
        keyboard
    }

    #[test]
    fn who_gives_up_waiting_keeps_what_it_was_lent() {
        let mut keyboard = keyboard(&[SHELL, 3]);
        assert!(keyboard.lend(SHELL, Some(3), 0));
        keyboard.give_up(3);
        assert!(keyboard.is_held_by(3) && keyboard.peek().is_none());
        keyboard.leave(3);
        assert!(!keyboard.is_held_by(3) && keyboard.peek().is_some_and(|r| r.client == SHELL));
    }

    fn next(keyboard: &mut Keyboard<()>) -> Option<usize> {
        keyboard.next_reader().map(|r| r.client)
    }

    #[test]
    fn who_runs_in_the_background_gets_no_input() {
        let mut keyboard = keyboard(&[SHELL, 1, 2]);
        assert_eq!(next(&mut keyboard), Some(SHELL));
        assert_eq!(next(&mut keyboard), None, "input waits for the shell");
        assert!(keyboard.is_held_by(SHELL) && keyboard.lend(SHELL, Some(2), 7) && keyboard.is_held_by(2));
        assert_eq!(next(&mut keyboard), Some(2));
        keyboard.wait(SHELL, ());
        assert_eq!(next(&mut keyboard), None, "as long as it is lent, the owner gets none");
        assert_eq!(keyboard.interrupt(), 7);
        assert!(keyboard.lend(SHELL, None, 0));
        assert_eq!(next(&mut keyboard), Some(SHELL));
        assert_eq!(next(&mut keyboard), None);
    }

    #[test]
    fn only_the_owner_lends() {
        let mut keyboard = keyboard(&[1]);
        assert!(!keyboard.lend(1, Some(1), 3));
        assert_eq!(next(&mut keyboard), None);
        assert_eq!(keyboard.interrupt(), 0);
        assert!(!keyboard.take_interrupt(1));
        assert!(keyboard.take_interrupt(SHELL) && !keyboard.take_interrupt(SHELL));
    }

    #[test]
    fn what_was_lent_comes_back_when_its_holder_is_gone() {
        let mut keyboard = keyboard(&[SHELL, 1]);
        keyboard.lend(SHELL, Some(1), 0);
        keyboard.leave(1);
        assert_eq!(keyboard.peek().map(|r| r.client), Some(SHELL));
        keyboard.wait(1, ());
        keyboard.lend(SHELL, Some(1), 0);
        keyboard.leave(SHELL);
        assert_eq!(next(&mut keyboard), None, "it waits for the owner to come back");
    }

    #[test]
    fn without_an_owner_it_is_everybodys() {
        let mut keyboard = Keyboard::new(None);
        keyboard.wait(1, ());
        keyboard.wait(2, ());
        assert!(!keyboard.lend(1, None, 0));
        assert_eq!((next(&mut keyboard), next(&mut keyboard)), (Some(2), Some(1)));
    }

    #[test]
    fn after_a_restart_it_is_everybodys_until_its_owner_shows_up() {
        let mut keyboard = Keyboard::new(Some(SHELL));
        keyboard.wait(1, ());
        assert_eq!(next(&mut keyboard), Some(1), "the program that the owner waits for");
        keyboard.wait(1, ());
        keyboard.wait(SHELL, ());
        keyboard.wait(2, ());
        assert_eq!((next(&mut keyboard), next(&mut keyboard)), (Some(SHELL), None));
    }

    #[test]
    fn a_client_waits_once() {
        let mut keyboard = keyboard(&[SHELL, SHELL]);
        assert_eq!((next(&mut keyboard), next(&mut keyboard)), (Some(SHELL), None));
    }
}
