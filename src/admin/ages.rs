//! Ages and intervals as people say them.

/// In the largest unit that leaves a whole number above one.
pub fn duration(seconds: i64) -> String {
    let (unit, name) = unit(seconds);
    format!("{}{name}", seconds / unit)
}

/// At least so long, in the same units.
pub fn at_least(seconds: i64) -> String {
    let (unit, _) = unit(seconds);
    duration(seconds.saturating_add(unit - 1) / unit * unit)
}

/// How many seconds it has, and its letter.
fn unit(seconds: i64) -> (i64, char) {
    match seconds {
        ..120 => (1, 's'),
        120..7200 => (60, 'm'),
        7200..172_800 => (3600, 'h'),
        _ => (86_400, 'd'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_the_unit_that_people_say_it_in() {
        let told = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(duration);
        assert_eq!(told, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        let told = [0, 119, 121, 7199, 7201, 172_799, 172_801, i64::MAX].map(at_least);
        assert_eq!(told[..7], ["0s", "119s", "3m", "2h", "3h", "2d", "3d"]);
    }
}
