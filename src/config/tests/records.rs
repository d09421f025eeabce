//! What `[records]` says of users' ids.

use super::*;

const RECORDS: &str = "[records]\nuser_ids = \"hmac-sha256\"\n";

fn shown(user_ids: &UserIds) -> String {
    user_ids.shown("oUSER").as_str().to_owned()
}

#[test]
fn users_ids_are_plain_unless_a_key_makes_pseudonyms_of_them_wherever_it_stands() {
    assert_eq!(shown(&load(&with("")).unwrap().user_ids), "oUSER");
    assert_eq!(shown(&load(&with("[records]\nuser_ids = \"plain\"\n")).unwrap().user_ids), "oUSER");
    let written = load(&with(&format!("{RECORDS}user_ids_key = \"0123456789abcdef\"\n"))).unwrap().user_ids;
    let files = Files::with(&[("key", "0123456789abcdef\n")]);
    let filed = files.load(&with(&format!("{RECORDS}user_ids_key_file = \"key\"\n"))).unwrap().user_ids;
    assert_eq!(shown(&written), shown(&filed));
    assert_eq!(shown(&written).len(), crate::user_ids::PSEUDONYM_LENGTH);
}

#[test]
fn a_key_that_is_missing_or_short_or_without_a_meaning_is_a_problem() {
    let files = Files::with(&[("short", "0123456789abcde\n")]);
    let problem = |records: &str| problems_of(files.load(&with(records))).join("|");
    assert_eq!(
        problem(RECORDS),
        "records.user_ids_key (line 6) is missing beside user_ids = \"hmac-sha256\"; \
         write user_ids_key = \"${NAME}\", or name a file that holds it by user_ids_key_file"
    );
    let short = "has less than 16 bytes; write 16 random ones or more, such as openssl rand -hex 32 gives";
    assert_eq!(
        problem(&format!("{RECORDS}user_ids_key = \"0123456789abcde\"\n")),
        format!("records.user_ids_key (line 8) {short}")
    );
    assert_eq!(
        problem(&format!("{RECORDS}user_ids_key_file = \"short\"\n")),
        format!("records.user_ids_key_file (line 8) {short}")
    );
    assert_eq!(
        problem("[records]\nuser_ids_key = \"0123456789abcdef\"\n"),
        "records.user_ids_key (line 7) belongs to user_ids = \"hmac-sha256\" only; \
         remove it, or write user_ids = \"hmac-sha256\""
    );
    assert_eq!(
        problem("[records]\nuser_ids = \"sha256\"\n"),
        "records.user_ids (line 7) is none of the words known here; write \"plain\" or \"hmac-sha256\""
    );
}
