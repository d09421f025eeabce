//! From an answer's bytes to a page of rows.

pub use super::fields::RowKind;
use super::fields::read_row;
pub use super::parts::PageFault;
use super::split::split;
use crate::domain::row::ReadRow;
use crate::domain::time::UnixTime;

/// One page of a pull. Both counts are the upstream's words, not computed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<ReadRow>,
    /// Rows on this page (official page: `total_cnt`, in spite of its name).
    pub total_cnt: Option<i64>,
    /// Opaque; to be passed back for the next page. Spec, seen in the field: text or number.
    pub start_id: Option<String>,
}

/// What the upstream says about the call itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// 0 is success, also where the field is absent.
    pub errcode: i64,
    /// Not bounded, and written by the other side: see [`super::error::Cause`].
    pub errmsg: String,
}

/// The name of the list in an answer.
fn list_name(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Touch => "relation_list",
        RowKind::Order => "order_list",
    }
}

/// Reads an answer that lists rows of `kind`. With an errcode other than 0 the page is empty: nothing else of the answer counts.
///
/// A row that can't be read is a fault in its own place. `latest_now` is the later of the clocks known: a row with a
/// time more than a day after it is refused.
pub fn read_page(body: &[u8], kind: RowKind, latest_now: UnixTime) -> Result<(Envelope, Page), PageFault> {
    let (head, elements) = split(body, list_name(kind))?;
    let read = |raw: &[u8]| ReadRow { raw: raw.into(), content: read_row(raw, kind, latest_now) };
    let rows = elements.into_iter().map(read).collect();
    let envelope = Envelope { errcode: head.errcode, errmsg: head.errmsg };
    Ok((envelope, Page { rows, total_cnt: head.total_cnt, start_id: head.start_id }))
}

/// Reads only what every answer has.
pub fn read_envelope(body: &[u8]) -> Result<Envelope, PageFault> {
    let (head, _) = split(body, "")?;
    Ok(Envelope { errcode: head.errcode, errmsg: head.errmsg })
}

#[cfg(test)]
mod tests;
