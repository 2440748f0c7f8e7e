//! From a message to its answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::{Meter, Outcome};
use super::tables::{Found, Tables};
use super::upstream::{Said, Upstream};
use super::wire::{self, Incoming, Question, Transport};

/// Questions that others are asked at once. Beyond that clients hear that it failed, and come again.
const FORWARDS: usize = 512;

/// Answers questions. One for all of a node's sockets.
pub struct Responder {
    tables: Arc<RwLock<Tables>>,
    upstream: Upstream,
    forwards: Arc<Semaphore>,
    turn: AtomicUsize,
    meter: Meter,
}

/// What a message comes to.
pub(super) enum Step {
    /// This is the answer.
    Answer(Vec<u8>),
    /// Others must be asked first: [`Responder::forward`].
    Forward(Box<Forward>),
    /// There is nothing to say.
    Silence,
}

/// A question for others.
pub(super) struct Forward {
    question: Question,
    /// What is known already: CNAMEs that lead to what is asked.
    known: Found,
    begun: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Responder {
    /// From these tables, and from others what they do not have.
    pub fn new(tables: Arc<RwLock<Tables>>, upstream: Upstream) -> Self {
        let forwards = Arc::new(Semaphore::new(FORWARDS));
        Self { tables, upstream, forwards, turn: AtomicUsize::new(0), meter: Meter::new() }
    }

    /// Answers from the tables, if they know.
    pub(super) fn begin(&self, bytes: &[u8], transport: Transport) -> Step {
        let begun = Instant::now();
        let question = match wire::read(bytes, transport) {
            Incoming::Question(question) => question,
            Incoming::Wrong(bytes) => {
                self.meter.count(Outcome::Refused);
                return Step::Answer(bytes);
            }
            Incoming::Nothing => return Step::Silence,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let (complete, found) =
            (tables.is_complete(), tables.ask(question.query.name(), question.query.query_type(), turn));
        drop(tables);
        match found {
            Some(found) if found.elsewhere.is_none() || !question.recursion => self.here(&question, found, begun),
            _ if !question.recursion => self.refuse(&question, ResponseCode::Refused, Outcome::Refused),
            // It may be ours.
            None if !complete => self.refuse(&question, ResponseCode::ServFail, Outcome::Failed),
            found => match self.forwards.clone().try_acquire_owned() {
                Ok(permit) => {
                    let known = found.unwrap_or_default();
                    Step::Forward(Box::new(Forward { question: *question, known, begun, _permit: permit }))
                }
                Err(_) => self.refuse(&question, ResponseCode::ServFail, Outcome::Failed),
            },
        }
    }

    fn here(&self, question: &Question, found: Found, begun: Instant) -> Step {
        let outcome = match found.code {
            ResponseCode::NXDomain => Outcome::NoName,
            ResponseCode::NoError if found.authorities.is_empty() => Outcome::Answered,
            ResponseCode::NoError => Outcome::NoData,
            _ => Outcome::Failed,
        };
        let answer = question.answer(found.code, |message| {
            message.metadata.authoritative = true;
            message.answers = found.answers;
            message.authorities = found.authorities;
            message.additionals = found.additionals;
        });
        self.meter.here(outcome, begun.elapsed());
        answer.map_or(Step::Silence, Step::Answer)
    }

    fn refuse(&self, question: &Question, code: ResponseCode, outcome: Outcome) -> Step {
        self.meter.count(outcome);
        question.answer(code, |_| ()).map_or(Step::Silence, Step::Answer)
    }

    /// Asks others, and gives the answer; `None`: there is nothing to say.
    pub(super) async fn forward(&self, forward: Forward) -> Option<Vec<u8>> {
        let Forward { question, known, begun, _permit } = forward;
        self.meter.asking();
        let name = known.elsewhere.unwrap_or_else(|| question.query.name().clone());
        let Said { code, answers, authorities } = self.upstream.ask(name, question.query.query_type()).await;
        let failed = code == ResponseCode::ServFail;
        self.meter.asked(if failed { Outcome::Failed } else { Outcome::Forwarded }, begun.elapsed());
        question.answer(code, |message| {
            let known: Vec<Record> = known.answers;
            message.answers = known.into_iter().chain(answers).collect();
            message.authorities = authorities;
        })
    }
}

#[cfg(test)]
mod tests;
