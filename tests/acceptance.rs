//! Acceptance: what the domain's facts demand, a test for each, named after it.

mod forecast;
