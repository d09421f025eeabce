//! An image as blocks of colour on a terminal: each letter shows two pixels, the upper in its own colour and the lower in
//! its background's.
//!
//! A QR code is drawn module by module, whatever its resolution: scaled like other images it could no longer be scanned.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{ImageReader, Limits, Luma, Rgb, RgbImage, RgbaImage};

/// The light frame that a reader of codes needs on a dark terminal, in pixels of the drawing: what the standard asks for.
const MARGIN: u32 = 4;
/// An image that is larger on either side is none to be shared by phone.
const SIDE_MAX: u32 = 4096;
/// What decoding may allocate, in bytes.
const MEMORY_MAX: u64 = 128 * 1024 * 1024;
/// The smallest and the largest QR code have that many modules on a side, and each size has four more than the last.
const MODULES: std::ops::RangeInclusive<u32> = 21..=177;
const MODULES_STEP: usize = 4;
/// The square in three corners of a QR code.
const FINDER: u32 = 7;
const DARK_BELOW: u8 = 128;
const DARK: Rgb<u8> = Rgb([0; 3]);
const LIGHT: Rgb<u8> = Rgb([255; 3]);

#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    #[error("the image can't be decoded: {0}")]
    Undecodable(#[from] image::ImageError),
    #[error("the image needs a terminal with at least {needed} columns")]
    TooNarrow { needed: u32 },
}

/// Lines for a terminal with that many `columns`, in 24-bit colours. Nothing is enlarged.
///
/// # Errors
/// If it is neither PNG nor JPEG, damaged or too large, or if a QR code is wider than the terminal.
pub fn draw(image: &[u8], columns: u16) -> Result<String, DrawError> {
    let image = decode(image)?;
    let room = u32::from(columns).saturating_sub(2 * MARGIN);
    let drawing = match Code::find(&image) {
        Some(code) => code.drawing(),
        None => scaled(image, room.max(1)),
    };
    if drawing.width() > room {
        return Err(DrawError::TooNarrow { needed: drawing.width() + 2 * MARGIN });
    }
    Ok(blocks(&framed(&drawing)))
}

/// The image on white.
///
/// # Errors
/// [`DrawError::Undecodable`], also where it is larger than [`SIDE_MAX`], or takes more than [`MEMORY_MAX`].
fn decode(bytes: &[u8]) -> Result<RgbImage, DrawError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(MEMORY_MAX);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(image::ImageError::from)?;
    reader.limits(limits);
    Ok(on_white(&reader.decode()?.into_rgba8()))
}

fn on_white(image: &RgbaImage) -> RgbImage {
    let on_white = |channel: u8, opacity: u8| {
        let (channel, opacity) = (u16::from(channel), u16::from(opacity));
        // Between two bytes, so a byte.
        ((channel * opacity + 255 * (255 - opacity)) / 255) as u8
    };
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, opacity] = image.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|channel| on_white(channel, opacity)))
    })
}

/// At most that wide.
fn scaled(image: RgbImage, width: u32) -> RgbImage {
    if image.width() <= width {
        return image;
    }
    let height = u64::from(image.height()) * u64::from(width) / u64::from(image.width());
    // Less than the image's own height.
    imageops::resize(&image, width, (height as u32).max(1), FilterType::Triangle)
}

/// A QR code within an image: where its dark modules reach to, and how many it has on a side.
struct Code<'a> {
    image: &'a RgbImage,
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    modules: u32,
}

impl Code<'_> {
    /// Looks for a code that fills the image but for a light frame.
    fn find(image: &RgbImage) -> Option<Code<'_>> {
        let dark = image.enumerate_pixels().filter(|(_, _, pixel)| is_dark(**pixel)).map(|(x, y, _)| (x, y));
        let extent = |(left, right, top, bottom): (u32, u32, u32, u32), (x, y): (u32, u32)| {
            (left.min(x), right.max(x), top.min(y), bottom.max(y))
        };
        let (left, right, top, bottom) = dark.fold((u32::MAX, 0, u32::MAX, 0), extent);
        let (width, height) = (right.checked_sub(left)? + 1, bottom.checked_sub(top)? + 1);
        let sizes = MODULES.step_by(MODULES_STEP).take_while(|modules| *modules <= width.min(height));
        sizes.map(|modules| Code { image, left, top, width, height, modules }).find(Code::is_one)
    }

    /// Whether the middle of the module at this place is dark.
    fn is_dark(&self, column: u32, row: u32) -> bool {
        let middle = |place: u32, length: u32| (2 * place + 1) * length / (2 * self.modules);
        let (x, y) = (self.left + middle(column, self.width), self.top + middle(row, self.height));
        is_dark(*self.image.get_pixel(x, y))
    }

    /// Whether the parts that every code has are where a code of this size has them: three finders with their light
    /// edges, and between them the two lines on which dark and light take turns.
    fn is_one(&self) -> bool {
        let far = self.modules - FINDER;
        let finder = |left: u32, top: u32| {
            (0..FINDER * FINDER).all(|place| {
                let (x, y) = (place % FINDER, place / FINDER);
                let ring = x.abs_diff(FINDER / 2).max(y.abs_diff(FINDER / 2));
                self.is_dark(left + x, top + y) == (ring != 2)
            })
        };
        let turns = |place: u32| {
            let dark = place.is_multiple_of(2);
            self.is_dark(place, FINDER - 1) == dark && self.is_dark(FINDER - 1, place) == dark
        };
        finder(0, 0) && finder(far, 0) && finder(0, far) && (FINDER..far).all(turns)
    }

    /// One pixel for each module.
    fn drawing(&self) -> RgbImage {
        let pixel = |column, row| if self.is_dark(column, row) { DARK } else { LIGHT };
        RgbImage::from_fn(self.modules, self.modules, pixel)
    }
}

fn is_dark(pixel: Rgb<u8>) -> bool {
    let Luma([brightness]) = image::Pixel::to_luma(&pixel);
    brightness < DARK_BELOW
}

/// The drawing in a light frame, with an even number of rows.
fn framed(drawing: &RgbImage) -> RgbImage {
    let height = (drawing.height() + 2 * MARGIN).next_multiple_of(2);
    let mut framed = RgbImage::from_pixel(drawing.width() + 2 * MARGIN, height, LIGHT);
    imageops::replace(&mut framed, drawing, MARGIN.into(), MARGIN.into());
    framed
}

/// An image with an even number of rows, two of them in each line.
fn blocks(image: &RgbImage) -> String {
    let mut text = String::new();
    for top in (0..image.height()).step_by(2) {
        let mut last = None;
        for x in 0..image.width() {
            let colours = (image.get_pixel(x, top).0, image.get_pixel(x, top + 1).0);
            if last.replace(colours) != Some(colours) {
                let ([red, green, blue], [lower_red, lower_green, lower_blue]) = colours;
                text += &format!("\u{1b}[38;2;{red};{green};{blue};48;2;{lower_red};{lower_green};{lower_blue}m");
            }
            text.push('▀');
        }
        text.push_str("\u{1b}[0m\n");
    }
    text
}

#[cfg(test)]
mod tests;
