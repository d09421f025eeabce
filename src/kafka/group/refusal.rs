//! What an operator has to change where the broker refuses to let a member into its group.

use rdkafka::error::RDKafkaErrorCode;

#[derive(Debug, PartialEq, Eq)]
pub enum Remedy {
    /// In the settings of this connector.
    Settings(&'static str),
    Elsewhere(&'static str),
}

/// Nothing where the refusal may pass.
pub fn remedy(code: RDKafkaErrorCode) -> Option<Remedy> {
    match code {
        RDKafkaErrorCode::GroupAuthorizationFailed => Some(Remedy::Elsewhere("allow this user to READ it")),
        RDKafkaErrorCode::InvalidSessionTimeout => Some(Remedy::Settings(
            "kafka.\"session.timeout.ms\" is not between the brokers' group.min.session.timeout.ms and \
             group.max.session.timeout.ms",
        )),
        RDKafkaErrorCode::InconsistentGroupProtocol => Some(Remedy::Elsewhere(
            "its members are not instances of this connector; give it a connector.name of its own",
        )),
        _ => None,
    }
}
