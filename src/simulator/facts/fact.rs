//! A fact as the world keeps it: a few numbers. All times are Unix seconds.

pub struct TouchFact {
    pub time: u32,
    pub visible_at: u32,
    pub shown: FirstShown,
}

pub struct OrderFact {
    pub time: u32,
    pub visible_at: u32,
    pub refund_first: u32,
    pub refund_count: u8,
    /// The neighbouring day that lists it beside its own, as a difference; 0 where none does.
    pub also_listed: i8,
    pub shown: FirstShown,
}

impl OrderFact {
    pub fn refunds(&self) -> std::ops::Range<usize> {
        let first = self.refund_first as usize;
        first..first + usize::from(self.refund_count)
    }
}

pub struct RefundFact {
    pub time: u32,
    pub visible_at: u32,
    /// From when on its row has its time; 0 for always.
    pub told_at: u32,
    pub shown_by_orders: FirstShown,
    pub shown_by_refunds: FirstShown,
}

/// When a page first showed a fact; facts are many, so it is kept in four bytes.
#[derive(Clone, Copy, Default)]
pub struct FirstShown(u32);

impl FirstShown {
    pub fn mark(&mut self, now: u32) {
        if self.0 == 0 {
            self.0 = now.max(1);
        }
    }

    pub fn at(self) -> Option<u32> {
        (self.0 != 0).then_some(self.0)
    }
}
