//! The agent from outside: pods come, containers run, things fail, agents die.

mod crash;
mod life;
mod trouble;
