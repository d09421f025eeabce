//! What an operator has to change where the broker refuses to let a member into its group.

use rdkafka::error::RDKafkaErrorCode;

use crate::telemetry::health::foreign_members::{FOREIGN_MEMBER_REMEDY, ForeignMember};
use crate::text::first_few;

/// What is wrong where the session's time-out is none that the brokers take.
pub const SESSION_NOT_ALLOWED: &str = "kafka.\"session.timeout.ms\" is not between the brokers' group.min.session.timeout.ms and \
                                       group.max.session.timeout.ms";
/// Of more members than this only the number is told.
const NAMED_MAX: usize = 5;

#[derive(Debug, PartialEq, Eq)]
pub enum Remedy {
    /// In the settings of this connector.
    Settings(&'static str),
    Elsewhere(&'static str),
    /// With the members that are in the group, which share out in another way than instances do: see [`kept_out`].
    Members,
}

/// Nothing where the refusal may pass.
pub fn remedy(code: RDKafkaErrorCode) -> Option<Remedy> {
    match code {
        RDKafkaErrorCode::GroupAuthorizationFailed => Some(Remedy::Elsewhere("allow this user to READ it")),
        RDKafkaErrorCode::InvalidSessionTimeout => Some(Remedy::Settings(SESSION_NOT_ALLOWED)),
        RDKafkaErrorCode::InconsistentGroupProtocol => Some(Remedy::Members),
        _ => None,
    }
}

/// That these `members` of the group, as far as they are known, let no instance join. They are to go, and not the connector: what it has
/// published stands under its name.
pub fn kept_out(group: &str, members: &[ForeignMember]) -> String {
    let named = match members {
        [] => "which could not be looked at".to_owned(),
        members => first_few(members.iter().map(ForeignMember::named), NAMED_MAX),
    };
    format!(
        "the consumer group {group} can't be joined, for members that are no instances of this connector share out its partitions in \
         another way: {named}; {FOREIGN_MEMBER_REMEDY}, and what it has published is known under that name"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::health::foreign_members::tests::foreign;

    #[test]
    fn who_keeps_instances_out_is_named_and_told_to_go() {
        let told = kept_out("shop", &[foreign("billing-1", &[0, 1]), foreign("billing-2", &[])]);
        assert!(told.starts_with("the consumer group shop can't be joined, for "), "{told}");
        assert!(
            told.contains(
                "in another way: billing-1 at 10.0.0.7 (partitions 0, 1 of promoter.registry), billing-2 at 10.0.0.7 (nothing of \
                 promoter.registry); stop that program, or give it another group.id: "
            ),
            "{told}"
        );
        let many: Vec<ForeignMember> = (0..9).map(|number| foreign(&format!("billing-{number}"), &[])).collect();
        assert!(kept_out("shop", &many).contains(" and 4 more; stop that program"));
        assert!(kept_out("shop", &[]).contains("another way: which could not be looked at; stop that program"));
        assert_eq!(remedy(RDKafkaErrorCode::InconsistentGroupProtocol), Some(Remedy::Members));
    }
}
