//! What material was asked for, and what came of it.

use std::collections::BTreeMap;
use std::fmt;

use super::requester::DemoRequest;
use crate::avro::decode::Decoded;
use crate::avro::schemas::RecordKind;

/// Requests, by their `request_id`, and their replies.
#[derive(Debug, Default)]
pub struct Materials {
    requested: BTreeMap<String, RequestedMaterial>,
    /// Touches that came from the material of one of the requests.
    touches: u64,
}

#[derive(Debug)]
struct RequestedMaterial {
    request: DemoRequest,
    replies: u64,
}

impl Materials {
    pub fn request(&mut self, request: DemoRequest) {
        self.requested.insert(request.poster.clone(), RequestedMaterial { request, replies: 0 });
    }

    /// Counts a reply, unless it is to somebody else: the mock cluster is there for other programs too.
    pub fn reply(&mut self, result: &Decoded) {
        if let Some(requested) = result.text("request_id").and_then(|id| self.requested.get_mut(id)) {
            requested.replies += 1;
        }
    }

    /// Counts an event, if it is a touch that came from material that was asked for before, and tells so.
    pub fn touch(&mut self, event: &Decoded) -> bool {
        let info = event.text("share_extra_info").filter(|_| event.record == RecordKind::Touch);
        let requested = info.and_then(|info| self.requested.get(info));
        let comes_from_it = requested.is_some_and(|RequestedMaterial { request, .. }| {
            event.text("promoter_openid") == Some(&request.promoter) && event.text("path") == Some(&request.path)
        });
        self.touches += u64::from(comes_from_it);
        comes_from_it
    }

    pub fn requested(&self) -> usize {
        self.requested.len()
    }

    pub fn answered(&self) -> usize {
        self.requested.values().filter(|requested| requested.replies > 0).count()
    }

    fn with_replies(&self, wanted: impl Fn(u64) -> bool) -> Vec<&str> {
        self.requested
            .values()
            .filter(|requested| wanted(requested.replies))
            .map(|requested| requested.request.poster.as_str())
            .collect()
    }

    fn unanswered(&self) -> Vec<&str> {
        self.with_replies(|replies| replies == 0)
    }

    fn answered_twice(&self) -> Vec<&str> {
        self.with_replies(|replies| replies > 1)
    }

    /// Whether each request has one reply.
    pub fn is_exact(&self) -> bool {
        self.requested.values().all(|requested| requested.replies == 1)
    }
}

/// One line.
impl fmt::Display for Materials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requested, answered, touches) = (self.requested(), self.answered(), self.touches);
        write!(f, "materials asked {requested}, answered {answered}, touches that came from them {touches}")?;
        for (fault, posters) in [("without a reply", self.unanswered()), ("replied twice", self.answered_twice())] {
            if !posters.is_empty() {
                write!(f, "; {fault}: {}", posters.join(", "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::avro::decode::Decoder;
    use crate::avro::encode::{Encoders, Framings};
    use crate::avro::framing::Framing;
    use crate::avro::material::ResultEncoder;
    use crate::model::fact::Fact;
    use crate::model::material::{MaterialOutcome, MaterialRefusal, MaterialResult};
    use crate::model::promoter::{IdKind, Promoter};
    use crate::model::row::Touch;
    use crate::model::time::{UnixMillis, UnixTime};

    fn requested(posters: &[&str]) -> Materials {
        let mut materials = Materials::default();
        for poster in posters {
            let [app_id, promoter, poster, path] = ["wx1", "oA", poster, "pages/poster"].map(str::to_owned);
            materials.request(DemoRequest { app_id, promoter, poster, path });
        }
        materials
    }

    fn reply(request_id: &str) -> Decoded {
        let [request_id, app_id, promoter_openid] = [request_id, "wx1", "oA"].map(str::to_owned);
        let outcome = MaterialOutcome::Failed(MaterialRefusal::own("any"));
        let mut bytes = Vec::new();
        let result = MaterialResult { request_id, app_id, promoter_openid, outcome };
        ResultEncoder::new(Framing::SingleObject).encode(&result, &mut bytes).unwrap();
        Decoder::new([]).decode(&bytes).unwrap()
    }

    fn touch(promoter: &str, path: &str, info: &str) -> Decoded {
        let promoter = Promoter::from_key(promoter).unwrap();
        let [path, share_extra_info] = [path, info].map(|text| Some(text.to_owned()));
        let touch = Touch { openid: "u".into(), path, share_extra_info, ..Touch::default() };
        let fact = Fact::touch(&promoter, UnixTime(1), touch, Box::default());
        let (encoders, mut bytes) = (Encoders::new(Framings::SINGLE_OBJECT), Vec::new());
        encoders.fact(&fact, &promoter, IdKind::OpenId, UnixMillis(0), &mut bytes).unwrap();
        Decoder::new([]).decode(&bytes).unwrap()
    }

    #[test]
    fn one_reply_to_each_is_exact() {
        let mut materials = requested(&["a", "b"]);
        materials.reply(&reply("a"));
        assert_eq!((materials.requested(), materials.answered(), materials.is_exact()), (2, 1, false));
        materials.reply(&reply("b"));
        materials.reply(&reply("of somebody else"));
        assert!(materials.is_exact());
        assert_eq!(materials.to_string(), "materials asked 2, answered 2, touches that came from them 0");
    }

    #[test]
    fn no_reply_and_two_are_faults_that_are_named() {
        for (replies, fault) in [(&["a"][..], "; without a reply: b"), (&["a", "b", "b"], "; replied twice: b")] {
            let mut materials = requested(&["a", "b"]);
            replies.iter().for_each(|id| materials.reply(&reply(id)));
            assert!(!materials.is_exact(), "{replies:?}");
            assert!(materials.to_string().ends_with(fault), "{materials}");
        }
    }

    #[test]
    fn a_touch_comes_from_the_material_of_its_promoter_with_its_path() {
        let mut materials = requested(&["a"]);
        assert!(materials.touch(&touch("wx1/oA", "pages/poster", "a")));
        for (promoter, path, info) in
            [("wx1/oB", "pages/poster", "a"), ("wx1/oA", "pages", "a"), ("wx1/oA", "pages/poster", "b")]
        {
            assert!(!materials.touch(&touch(promoter, path, info)));
        }
        assert!(materials.to_string().contains("touches that came from them 1"), "{materials}");
    }
}
