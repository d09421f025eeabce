//! Material that a promoter shares: what is asked for, and how a request ends.

use super::time::UnixMillis;

/// As it came, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaterialRequest {
    pub request_id: String,
    pub app_id: String,
    pub promoter_openid: String,
    /// The page of the Mini Program that the material leads to.
    pub path: String,
    /// Comes back as `share_extra_info` in touches and orders.
    pub extra_info: Option<String>,
    pub title: Option<String>,
    pub env_version: Option<String>,
    pub share_type: Option<i32>,
    pub deadline: Option<UnixMillis>,
}

/// The reply to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialResult {
    pub request_id: String,
    pub app_id: String,
    pub promoter_openid: String,
    pub outcome: MaterialOutcome,
}

/// How a request ended. Each ends in one of these ways, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MaterialOutcome {
    Succeeded(Material),
    /// The upstream refused, or stayed unable.
    Failed(MaterialRefusal),
    /// The request as it stands can't be carried out.
    Rejected(MaterialRefusal),
    /// The deadline passed before the upstream had answered, or while the app was stopped.
    Expired(MaterialRefusal),
}

/// Material in its final form. What was not asked for, or not given, is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// The page's path with the promoter's mark.
    pub share_path: Option<String>,
    pub qrcode: Option<Image>,
    /// The text of the short link (official page: `tag`).
    pub tag: Option<String>,
    pub issued_at: UnixMillis,
}

impl Material {
    /// Official page: material is valid for 30 days. No expiry is returned, so it is counted from when it came.
    pub fn expires_at(&self) -> UnixMillis {
        UnixMillis(self.issued_at.0.saturating_add(VALID_MILLIS))
    }
}

const VALID_MILLIS: i64 = 30 * 24 * 3600 * 1000;

/// A QR code, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    pub kind: ImageKind,
    pub bytes: Vec<u8>,
}

/// What an image's own bytes say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    Png,
    Jpeg,
}

impl ImageKind {
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            ImageKind::Png => "image/png",
            ImageKind::Jpeg => "image/jpeg",
        }
    }
}

/// Why there is no material.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaterialRefusal {
    /// The upstream's, where it gave one.
    pub errcode: Option<i64>,
    /// The upstream's words, or the connector's.
    pub message: String,
}

impl MaterialRefusal {
    /// One of the connector's own.
    pub fn own(message: impl Into<String>) -> MaterialRefusal {
        MaterialRefusal { errcode: None, message: message.into() }
    }
}
