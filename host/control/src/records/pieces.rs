//! How a batch is offered that the sink chokes on: in ever smaller pieces, since it may be too much at once, or one record
//! in it may be what no call survives. Such a record is dropped, but only once the sink has proved on another that it is
//! the record and not the sink. With nothing after it to prove that, what the sink took before counts, for one record: a
//! sink that breaks loses no more than that.

use std::ops::Range;

/// Calls without an answer on one piece before it is cut. The first may be the machine's fault.
const PATIENCE: u32 = 3;

/// What of a batch is left to offer.
#[derive(Debug)]
pub struct Pieces {
    /// The next one is the last.
    left: Vec<Range<usize>>,
    /// Calls on the next one that gave no answer.
    faults: u32,
    /// Single records that seem to be more than the sink can take.
    suspects: Vec<usize>,
    /// It took something since a record was last dropped.
    pub proved: bool,
}

impl Pieces {
    /// All of a batch. `proved`: as it was after the batch before.
    pub fn new(records: usize, proved: bool) -> Self {
        Self { left: std::iter::once(0..records).collect(), faults: 0, suspects: Vec::new(), proved }
    }

    /// What to offer next, in order. `None`: all is decided.
    pub fn next(&self) -> Option<Range<usize>> {
        self.left.last().cloned()
    }

    /// It is decided: the sink works. Answers the records that it can't take.
    pub fn decided(&mut self) -> Vec<usize> {
        self.left.pop();
        self.faults = 0;
        self.proved = true;
        std::mem::take(&mut self.suspects)
    }

    /// A call gave no answer. Answers the record that is dropped for it, if one is.
    pub fn fault(&mut self) -> Option<usize> {
        self.faults += 1;
        if self.faults < PATIENCE {
            return None;
        }
        self.faults = 0;
        let Range { start, end } = self.left.pop()?;
        let middle = start + (end - start) / 2;
        if middle > start {
            self.left.extend([middle..end, start..middle]);
            return None;
        }
        if self.left.is_empty() && self.suspects.is_empty() && std::mem::take(&mut self.proved) {
            return Some(start);
        }
        self.suspects.push(start);
        if self.left.is_empty() {
            // None was taken: it is the sink. All again, one by one.
            self.left.extend(self.suspects.drain(..).rev().map(|at| at..at + 1));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a batch of so many records with a sink that dies of some.
    fn play(records: usize, deadly: &[usize], proved: bool) -> (Vec<usize>, Vec<usize>) {
        let (mut pieces, mut taken, mut dropped) = (Pieces::new(records, proved), Vec::new(), Vec::new());
        for _ in 0..10_000 {
            let Some(piece) = pieces.next() else { break };
            if deadly.iter().any(|at| piece.contains(at)) {
                dropped.extend(pieces.fault());
            } else {
                taken.extend(piece);
                dropped.extend(pieces.decided());
            }
        }
        (taken, dropped)
    }

    #[test]
    fn only_what_kills_the_sink_is_dropped_and_the_order_stays() {
        for (records, deadly) in
            [(1, vec![]), (100, vec![]), (100, vec![0]), (100, vec![41, 42]), (7, vec![0, 1, 2, 5]), (5, vec![4])]
        {
            let want: Vec<usize> = (0..records).filter(|at| !deadly.contains(at)).collect();
            assert_eq!(play(records, &deadly, false), (want, deadly.clone()), "{records}, {deadly:?}");
        }
        assert_eq!(play(1, &[0], true), (vec![], vec![0]));
    }

    #[test]
    fn a_sink_that_dies_of_everything_loses_nothing() {
        for (records, proved) in [(4, false), (4, true), (1, false)] {
            let all: Vec<usize> = (0..records).collect();
            assert_eq!(play(records, &all, proved), (vec![], vec![]), "{records}, {proved}");
        }
        // It broke after the first two.
        assert_eq!(play(4, &[2, 3], true), (vec![0, 1], vec![]));
    }
}
