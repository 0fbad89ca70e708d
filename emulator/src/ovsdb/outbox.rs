//! What waits to be written to one client: bytes in the order in which they happened. What is shared between clients is
//! kept once; what is long is kept in pieces, so that a large answer is never copied to grow and is freed as it is sent.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::Notify;

use crate::faults::Order;

/// From how many bytes on a piece is closed and the next one begun.
const PIECE_BYTES: usize = 64 << 10;
/// From how many bytes on it costs less to share a text between clients than to copy it.
const SHARED_BYTES: usize = 2 << 10;

/// How much may wait for a message that a fault has put before it, in bytes; with more, the fault is over.
const HELD_BYTES: usize = 1 << 20;

/// What a message is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Answer,
    Update,
}

/// The place where a message begins.
#[derive(Debug)]
#[must_use]
pub(super) struct Begun(usize);

/// The unsent output of one session.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// How many bytes are in `pieces`.
    closed: usize,
    /// How many bytes have been taken and not been written yet.
    in_flight: usize,
    /// The order that a fault has put the messages into.
    order: Order,
    /// What waits for a message that is to come before it.
    held: VecDeque<Bytes>,
    /// Wakes the task that writes.
    pub(super) wake: Arc<Notify>,
}

impl Outbox {
    /// Where to append.
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        if self.tail.len() >= PIECE_BYTES {
            self.close();
        }
        &mut self.tail
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.closed += self.tail.len();
            self.pieces.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }

    /// Appends what other sessions get, too.
    pub(super) fn append(&mut self, shared: &Bytes) {
        if shared.len() < SHARED_BYTES {
            self.tail().extend_from_slice(shared);
        } else {
            self.close();
            self.closed += shared.len();
            self.pieces.push_back(shared.clone());
        }
    }

    /// Puts the messages from now on into an order, unless an earlier one still holds some back.
    pub(super) fn set_order(&mut self, order: Order) {
        if self.held.is_empty() {
            self.order = order;
        }
    }

    /// From now on nothing is held back any more; what is held goes out behind the next message.
    pub(super) fn forget_order(&mut self) {
        self.order = Order::AsHappened;
    }

    /// A message begins here.
    pub(super) fn begin(&mut self) -> Begun {
        if self.order != Order::AsHappened {
            self.close();
        }
        Begun(self.pieces.len())
    }

    /// The message that began there is complete: now it goes its way, or is held where the order asks for that.
    pub(super) fn end(&mut self, begun: &Begun, sort: Sort) {
        let holds = match self.order {
            Order::AsHappened if self.held.is_empty() => return,
            Order::AsHappened => false,
            Order::AnswerFirst => sort == Sort::Update,
            Order::UpdateFirst => sort == Sort::Answer,
        };
        self.close();
        if holds {
            let message = self.pieces.split_off(begun.0);
            self.closed -= message.iter().map(Bytes::len).sum::<usize>();
            self.held.extend(message);
        }
        if !holds || self.held.iter().map(Bytes::len).sum::<usize>() > HELD_BYTES {
            self.order = Order::AsHappened;
            self.closed += self.held.iter().map(Bytes::len).sum::<usize>();
            self.pieces.append(&mut self.held);
        }
    }

    /// How many bytes are not written yet.
    pub(super) fn len(&self) -> usize {
        self.closed + self.tail.len() + self.in_flight
    }

    /// Gives away what there is; `left` bytes of what was given before are still to be written.
    pub(super) fn take(&mut self, into: &mut Pieces) {
        self.close();
        into.0.append(&mut self.pieces);
        self.in_flight = into.remaining();
        self.closed = 0;
    }

    /// Tells how much of what was taken is still to be written.
    pub(super) fn left(&mut self, left: usize) {
        self.in_flight = left;
    }
}

/// Output that is being written.
#[derive(Debug, Default)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.0) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.front_mut() {
            if count < piece.len() {
                piece.advance(count);
                return;
            }
            count -= piece.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(outbox: &mut Outbox, text: &str, sort: Sort) {
        let begun = outbox.begin();
        outbox.tail().extend_from_slice(text.as_bytes());
        outbox.end(&begun, sort);
    }

    fn all_of(outbox: &mut Outbox) -> Bytes {
        let mut pieces = Pieces::default();
        outbox.take(&mut pieces);
        outbox.left(0);
        pieces.copy_to_bytes(pieces.remaining())
    }

    #[test]
    fn what_a_fault_holds_back_goes_out_behind_the_message_that_it_waited_for() {
        let mut outbox = Outbox::default();
        say(&mut outbox, "a", Sort::Answer);
        outbox.set_order(Order::AnswerFirst);
        say(&mut outbox, "u", Sort::Update);
        say(&mut outbox, "v", Sort::Update);
        outbox.set_order(Order::UpdateFirst);
        assert_eq!((outbox.len(), all_of(&mut outbox)), (1, Bytes::from_static(b"a")));
        say(&mut outbox, "b", Sort::Answer);
        say(&mut outbox, "w", Sort::Update);
        assert_eq!((outbox.len(), all_of(&mut outbox)), (4, Bytes::from_static(b"buvw")));
    }

    #[test]
    fn a_fault_cannot_hold_back_more_than_its_bound() {
        let mut outbox = Outbox::default();
        outbox.set_order(Order::UpdateFirst);
        let half = "a".repeat(HELD_BYTES / 2 + 1);
        say(&mut outbox, &half, Sort::Answer);
        assert_eq!(outbox.len(), 0);
        say(&mut outbox, &half, Sort::Answer);
        assert_eq!(outbox.len(), 2 * half.len());
    }

    #[test]
    fn what_is_appended_comes_out_in_its_order_and_is_counted() {
        let mut outbox = Outbox::default();
        let shared = Bytes::from(vec![b's'; SHARED_BYTES]);
        outbox.tail().extend_from_slice(b"one");
        outbox.append(&shared);
        outbox.append(&Bytes::from_static(b"two"));
        assert_eq!(outbox.len(), SHARED_BYTES + 6);
        let mut pieces = Pieces::default();
        outbox.take(&mut pieces);
        outbox.tail().extend_from_slice(b"three");
        pieces.advance(4);
        outbox.left(pieces.remaining());
        assert_eq!(outbox.len(), SHARED_BYTES - 1 + 3 + 5);
        outbox.take(&mut pieces);
        let all = pieces.copy_to_bytes(pieces.remaining());
        assert_eq!(all, [&[b's'; SHARED_BYTES - 1][..], b"two", b"three"].concat());
    }
}
