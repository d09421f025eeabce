//! Instances that share budgets, whatever happens in which order: never more than the whole, and soon where it is needed.

mod division;
mod fleet;
mod held;
mod step;
mod whole_fleets;
