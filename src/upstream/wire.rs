//! From an answer's bytes to a page of rows.

use super::fields::read_row;
pub use super::oddities::Oddities;
pub use super::raw_page::PageFault;
use super::raw_page::RawPage;
use super::repair::{bare, read_loosely};
pub use super::rows_request::ExpectedPage;
use super::split::split;
use crate::model::row::ReadRow;
use crate::model::time::UnixTime;

/// One page of a pull. Both counts are the upstream's words, not computed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowPage {
    pub rows: Vec<ReadRow>,
    /// Rows on this page (official page: `total_cnt`, in spite of its name), or of all pages: it is not certain.
    pub total_cnt: Option<i64>,
    /// Opaque; to be passed back for the next page. Spec, seen in the field: text or number.
    pub start_id: Option<String>,
    pub oddities: Oddities,
}

/// What the upstream says about the call itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// 0 is success, also where the field is absent.
    pub errcode: i64,
    /// Not bounded, and written by the other side: see [`super::error::Cause`].
    pub errmsg: String,
}

/// Reads an answer that lists rows. With an errcode other than 0 the page is empty: nothing else of the answer counts.
///
/// A row that can't be read is a fault in its own place. `latest_now` is the later of the clocks known: a row with a
/// time more than a day after it is refused.
///
/// # Errors
/// [`PageFault`] where the answer as a whole can't be taken apart: nothing of it counts then.
pub fn read_page(body: &[u8], expected: ExpectedPage, latest_now: UnixTime) -> Result<(Envelope, RowPage), PageFault> {
    let (header, elements) = split(body, expected.kind.list_name())?;
    if let Some(total_cnt) =
        header.total_cnt.filter(|total_cnt| expected.is_first && elements.is_empty() && *total_cnt > 0)
    {
        // An answer that has lost its rows must not pass for an empty page: with that the cursor would move past them.
        return Err(PageFault::RowsMissing(total_cnt));
    }
    let mut oddities = Oddities::default();
    let mut read = |raw: &[u8]| {
        let content = read_row(raw, expected, latest_now).map(|row| oddities.note(row));
        ReadRow { raw: raw.into(), content }
    };
    let rows = elements.into_iter().map(&mut read).collect();
    let envelope = Envelope { errcode: header.errcode, errmsg: header.errmsg };
    Ok((envelope, RowPage { rows, total_cnt: header.total_cnt, start_id: header.start_id, oddities }))
}

/// Reads only what every answer may say of its call, whatever it is an answer to.
///
/// # Errors
/// [`PageFault::NotAnAnswer`].
pub(crate) fn read_envelope(body: &[u8]) -> Result<Envelope, PageFault> {
    let unreadable = |error: serde_json::Error| PageFault::NotAnAnswer(error.to_string());
    // No list has the empty name, so none is looked for.
    let header = read_loosely(bare(body), |text| RawPage::read(text, "").map(|raw_page| raw_page.envelope()))
        .map_err(unreadable)??;
    Ok(Envelope { errcode: header.errcode, errmsg: header.errmsg })
}

#[cfg(test)]
mod tests;
