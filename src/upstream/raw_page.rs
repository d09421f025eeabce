//! A page as strict JSON: what stands beside the list, and the list's elements as the bytes they came in.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::loose_value::LooseValue;

/// Ten times what the official page allows.
pub const ROWS_MAX: usize = 10_000;
/// A few digits were seen; keeps what is carried along bounded.
pub const START_ID_BYTES_MAX: usize = 4096;

/// Why a page can't be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFault {
    /// Not what the upstream meant to send: an empty body, HTML, an answer that was cut off, what some gateway wraps around
    /// an answer or says in its place.
    #[error("{0}")]
    NotAnAnswer(String),
    #[error("{0} is not a list, or is there twice")]
    List(&'static str),
    #[error("no row, where total_cnt is {0}")]
    RowsMissing(i64),
    #[error("the answer has more than {ROWS_MAX} rows")]
    TooManyRows,
    #[error("start_id is longer than {START_ID_BYTES_MAX} bytes")]
    StartId,
}

impl PageFault {
    /// Whether asking the same again would bring the same: then only another request helps.
    pub fn is_lasting(&self) -> bool {
        match self {
            PageFault::TooManyRows | PageFault::StartId => true,
            PageFault::NotAnAnswer(_) | PageFault::List(_) | PageFault::RowsMissing(_) => false,
        }
    }
}

fn not_an_answer(what: &str) -> PageFault {
    PageFault::NotAnAnswer(what.to_owned())
}

/// What stands beside the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageHeader {
    /// 0 where absent.
    pub errcode: i64,
    /// Only kept with an errcode other than 0. As long as the answer at most: to be bounded by whoever keeps it.
    pub errmsg: String,
    pub total_cnt: Option<i64>,
    pub start_id: Option<String>,
}

/// A page as serde_json sees it.
#[derive(Default)]
pub struct RawPage<'a> {
    errcode: LooseValue<'a>,
    errmsg: LooseValue<'a>,
    total_cnt: LooseValue<'a>,
    start_id: LooseValue<'a>,
    list: RawList<'a>,
    /// Whether a field that is not known holds an object or an array.
    holds_more: bool,
}

#[derive(Default)]
enum RawList<'a> {
    #[default]
    None,
    Rows(Vec<&'a [u8]>),
    TooManyRows,
    Wrong,
}

impl<'a> RawPage<'a> {
    /// `list` is the name of the list to look for.
    ///
    /// # Errors
    /// Where the page is no strict JSON, or no object.
    pub fn read(page: &'a str, list: &'static str) -> Result<RawPage<'a>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(page);
        let page = RawPageSeed { list }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(page)
    }

    /// What the answer says about the call itself, whatever else it holds. An absent errcode is a success.
    ///
    /// # Errors
    /// [`PageFault::NotAnAnswer`] where the errcode is no number.
    pub fn envelope(&self) -> Result<PageHeader, PageFault> {
        Ok(self.refusal()?.unwrap_or_default())
    }

    /// The head and the rows of an answer that lists rows. One with an errcode is read for nothing else.
    ///
    /// It is an answer by what it says: at least one of its four parts has to be there. A gateway's own JSON has none of
    /// them, and would pass for a page without rows; so would an answer that is wrapped in something with an errcode.
    ///
    /// # Errors
    /// [`PageFault`]: it is no answer, or its list, its rows or its `start_id` are not as they may be.
    pub fn finish(self, list: &'static str) -> Result<(PageHeader, Vec<&'a [u8]>), PageFault> {
        if let Some(refusal) = self.refusal()? {
            return Ok((refusal, Vec::new()));
        }
        let total_cnt = self.total_cnt.integer().map_err(|_| not_an_answer("total_cnt is no number"))?;
        let start_id = self.start_id()?;
        let says_rows = total_cnt.is_some() || start_id.is_some() || !matches!(self.list, RawList::None);
        if !says_rows && self.errcode.is_absent() {
            return Err(not_an_answer("it has no field of one"));
        }
        if !says_rows && self.holds_more {
            return Err(not_an_answer("what it holds is wrapped in a field that is not known"));
        }
        let rows = match self.list {
            RawList::None => Vec::new(),
            RawList::Rows(rows) => rows,
            RawList::TooManyRows => return Err(PageFault::TooManyRows),
            RawList::Wrong => return Err(PageFault::List(list)),
        };
        Ok((PageHeader { total_cnt, start_id, ..PageHeader::default() }, rows))
    }

    /// What the upstream says instead of a page; nothing where it does not refuse.
    ///
    /// # Errors
    /// [`PageFault::NotAnAnswer`] where the errcode is no number.
    fn refusal(&self) -> Result<Option<PageHeader>, PageFault> {
        let errcode = self.errcode.integer().map_err(|_| not_an_answer("errcode is no number"))?;
        let Some(errcode) = errcode.filter(|errcode| *errcode != 0) else { return Ok(None) };
        let errmsg = self.errmsg.text().ok().flatten().unwrap_or_default();
        Ok(Some(PageHeader { errcode, errmsg, ..PageHeader::default() }))
    }

    /// One of another kind than text or number says nothing: without it a full page fails the pull, and any other ends it.
    ///
    /// # Errors
    /// [`PageFault::StartId`] where it is longer than [`START_ID_BYTES_MAX`].
    fn start_id(&self) -> Result<Option<String>, PageFault> {
        let start_id = match self.start_id {
            LooseValue::Text(_) | LooseValue::Number(_) => self.start_id.text().ok().flatten(),
            LooseValue::Absent | LooseValue::Bool(_) | LooseValue::Nested => None,
        };
        match start_id {
            Some(start_id) if start_id.len() > START_ID_BYTES_MAX => Err(PageFault::StartId),
            start_id => Ok(start_id),
        }
    }
}

struct RawPageSeed {
    list: &'static str,
}

impl<'de> DeserializeSeed<'de> for RawPageSeed {
    type Value = RawPage<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawPage<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RawPageSeed {
    type Value = RawPage<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawPage<'de>, A::Error> {
        let mut page = RawPage::default();
        while let Some(name) = map.next_key::<String>()? {
            let slot = match name.as_str() {
                "errcode" => &mut page.errcode,
                "errmsg" => &mut page.errmsg,
                "total_cnt" => &mut page.total_cnt,
                "start_id" => &mut page.start_id,
                name if name == self.list => {
                    page.list = match (page.list, map.next_value()?) {
                        // A null, or an empty text, beside a list takes nothing away from it.
                        (before, RawList::None) => before,
                        (RawList::None, list) => list,
                        _ => RawList::Wrong,
                    };
                    continue;
                }
                _ => {
                    let other = map.next_value::<&RawValue>()?;
                    page.holds_more |= other.get().starts_with(['{', '[']);
                    continue;
                }
            };
            let value = LooseValue::read(map.next_value::<&RawValue>()?).map_err(serde::de::Error::custom)?;
            // A null takes nothing away from what stood under the same name before.
            if !value.is_absent() {
                *slot = value;
            }
        }
        Ok(page)
    }
}

impl<'de> Deserialize<'de> for RawList<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawList<'de>, D::Error> {
        deserializer.deserialize_any(RawListVisitor)
    }
}

struct RawListVisitor;

impl<'de> Visitor<'de> for RawListVisitor {
    type Value = RawList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawList<'de>, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = seq.next_element::<&RawValue>()? {
            if rows.len() == ROWS_MAX {
                // serde_json wants an array read to its end.
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(RawList::TooManyRows);
            }
            rows.push(row.get().as_bytes());
        }
        Ok(RawList::Rows(rows))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawList<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RawList::Wrong)
    }

    fn visit_str<E>(self, text: &str) -> Result<RawList<'de>, E> {
        Ok(if text.is_empty() { RawList::None } else { RawList::Wrong })
    }

    fn visit_unit<E>(self) -> Result<RawList<'de>, E> {
        Ok(RawList::None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<RawList<'de>, E> {
        Ok(RawList::Wrong)
    }

    fn visit_i64<E>(self, _: i64) -> Result<RawList<'de>, E> {
        Ok(RawList::Wrong)
    }

    fn visit_u64<E>(self, _: u64) -> Result<RawList<'de>, E> {
        Ok(RawList::Wrong)
    }

    fn visit_f64<E>(self, _: f64) -> Result<RawList<'de>, E> {
        Ok(RawList::Wrong)
    }
}
