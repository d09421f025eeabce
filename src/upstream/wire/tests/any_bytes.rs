//! Whole pages and damaged ones, at random.

use proptest::prelude::*;

use super::*;

/// Text with everything that matters to a splitter in it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        ".{0,12}",
        r#"[\[\]{},:" \\\n]{0,12}"#,
        Just(r#"},{"openid":""#.to_owned()),
        Just("],".to_owned())
    ]
}

fn valid_row() -> impl Strategy<Value = String> {
    (text(), text(), text(), 1_500_000_000i64..1_600_000_000, any::<bool>()).prop_map(|(openid, path, other, time, first)| {
        let row =
            serde_json::json!({"openid": format!("u{openid}"), "create_time": time, "path": path, "other": [other]});
        let row = row.to_string();
        // The upstream begins its rows with the promoter; serde_json sorts by name.
        if first { format!(r#"{{"promoter_openid":"p",{}"#, &row[1..]) } else { row }
    })
}

fn valid_page() -> impl Strategy<Value = (Vec<String>, String)> {
    (proptest::collection::vec(valid_row(), 1..8), "[ \n\t]{0,2}").prop_map(|(rows, space)| {
        let list = rows.join(&format!("{space},{space}"));
        let page = format!(r#"{{{space}"relation_list"{space}:{space}[{space}{list}{space}]{space},"total_cnt":1,"#);
        (rows, page + r#""start_id":"2","errcode":0,"errmsg":"OK"}"#)
    })
}

/// Every place strictly inside a string value of a row that begins with the promoter.
fn insides_of_strings(row: &str) -> Vec<usize> {
    let (mut insides, mut in_string, mut escaped) = (Vec::new(), false, false);
    for (at, byte) in row.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => insides.push(at),
            _ => {}
        }
    }
    insides
}

/// Rows as the upstream writes them: its own fields in its own order, user text in some.
fn upstream_row() -> impl Strategy<Value = String> {
    ("[A-Za-z0-9_-]{1,10}", text(), text()).prop_map(|(openid, path, extra)| {
        let (path, extra) = (serde_json::json!(path), serde_json::json!(extra));
        format!(
            r#"{{"promoter_openid":"oP","role_id":1,"extra_info":{extra},"openid":"{openid}","create_time":1600000005,"path":{path},"scene":1007}}"#
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_page(&body, ORDERS, NOW);
        let _ = read_page(&[b"{\"order_list\":[", &body[..]].concat(), ORDERS, NOW);
    }

    #[test]
    fn json_like_bytes_of_any_kind_are_read_or_refused(body in r#"[\[\]{},:"\\ a1\n]{0,60}"#) {
        let _ = read_page(format!(r#"{{"order_list":[{{"openid":"u"}},{body}]}}"#).as_bytes(), ORDERS, NOW);
    }

    #[test]
    fn both_ways_read_a_valid_page_alike((rows, page) in valid_page()) {
        // A control character in a text beside the list is all it takes to leave the strict way.
        let tolerant = page.replace(r#""errmsg":"OK""#, "\"errmsg\":\"\u{1}\"");
        let (strict, tolerant) = (touches(page), touches(tolerant));
        let raws: Vec<_> = strict.rows.iter().map(|row| String::from_utf8_lossy(&row.raw).into_owned()).collect();
        prop_assert_eq!(raws, rows);
        prop_assert!(strict.rows.iter().all(|row| row.content.is_ok()));
        prop_assert_eq!(strict, tolerant);
    }

    #[test]
    fn damage_in_one_row_leaves_the_others(
        rows in proptest::collection::vec(upstream_row(), 1..8),
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        damage in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..6),
            r#"[\[\]{},:"\\]{1,4}"#.prop_map(String::into_bytes),
        ],
    ) {
        let which = which.index(rows.len());
        let mut bytes: Vec<Vec<u8>> = rows.iter().map(|row| row.clone().into_bytes()).collect();
        let insides = insides_of_strings(&rows[which]);
        let place = *place.get(&insides);
        bytes[which].splice(place..place + 1, damage);
        let page = [&b"{\"relation_list\":["[..], &bytes.join(&b','), b"],\"total_cnt\":3,\"start_id\":\"3\"}"].concat();
        let page = touches(page);
        for (at, row) in rows.iter().enumerate().filter(|(at, _)| *at != which) {
            let kept = page.rows.iter().any(|read| *read.raw == *row.as_bytes() && read.content.is_ok());
            prop_assert!(kept, "row {} of {} was lost with row {}: {:?}", at, rows.len(), which, page);
        }
        prop_assert_eq!(page.start_id.as_deref(), Some("3"));
    }
}
