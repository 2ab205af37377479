//! Acceptance: what the domain's facts demand, a test for each, named after it.

mod adherence;
mod causes;
mod day;
mod forecast;
mod intraday;
mod pay;
mod perturbed;
mod queues;
mod rules;
mod script;
mod waits;
