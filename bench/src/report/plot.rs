//! Plots as SVG that is readable on white and on black.
//!
//! `plotters` knows colours as numbers only. So each role has a number that stands for nothing else, and in the finished SVG
//! the numbers give way to CSS variables: the page, or the style sheet within a file of its own, says what
//! they look like in light and in dark.

use std::fmt::Display;
use std::ops::Range;

use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;

/// A part of a plot to draw on.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What drawing may fail with; into a string it never does.
pub(super) type DrawResult = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Words and axes.
pub(super) const INK: RGBColor = RGBColor(1, 0, 0);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(2, 0, 0);
/// Failure.
pub(super) const BAD: RGBColor = RGBColor(3, 0, 0);

/// How many series can be told apart.
const SERIES: u8 = 9;

/// What distinguishes series `number` from its neighbours.
pub(super) fn series(number: usize) -> RGBColor {
    RGBColor(4, 0, (number % usize::from(SERIES)) as u8)
}

/// The colour of a subject, the same in all plots.
pub(super) fn subject(name: &str) -> RGBColor {
    let known = ["proxy", "nginx", "haproxy", "relay", "direct", "envoy", "caddy", "sozu", "pingora"];
    series(known.iter().position(|known| *known == name).unwrap_or_default())
}

/// The line of a subject; the proxy's is thicker, so that it can be found among many.
pub(super) fn curve(name: &str) -> ShapeStyle {
    subject(name).stroke_width(if name == "proxy" { 4 } else { 2 })
}

/// The size of letters as `plotters` counts it; in the SVG it is 12 pixels.
pub(super) const LETTER: i32 = 15;

/// A finished plot.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    /// The name of its file, without a folder.
    pub(super) file: String,
    /// What it shows, for those who do not see it.
    pub(super) alt: String,
    /// For the page: it takes its colours from there.
    pub(super) svg: String,
}

/// Draws a plot of this size in pixels. `name` becomes the file's.
///
/// # Errors
///
/// Where a scale is empty or infinite.
pub(super) fn draw(
    name: &str,
    alt: &str,
    size: (u32, u32),
    body: impl FnOnce(&Area<'_>) -> DrawResult,
) -> Result<Plot, ReportError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let wrong = |error: DrawingAreaErrorKind<std::io::Error>| ReportError::Plot {
        name: name.to_owned(),
        why: error.to_string(),
    };
    body(&area).map_err(wrong)?;
    area.present().map_err(wrong)?;
    drop(area);
    Ok(Plot { file: format!("{name}.svg"), alt: alt.to_owned(), svg: finish(&svg, alt, size) })
}

/// Roles for numbers, a title, and no fixed size.
fn finish(svg: &str, alt: &str, (width, height): (u32, u32)) -> String {
    let body = svg.split_once("<svg").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(_, body)| body);
    let mut text = body.to_owned();
    for (colour, variable) in roles() {
        let RGBColor(r, g, b) = colour;
        text = text.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var(--{variable})\""));
    }
    let alt = alt.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    format!(
        "<svg class=\"plot\" viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\" \
         aria-label=\"{alt}\" xmlns=\"http://www.w3.org/2000/svg\">{text}"
    )
}

fn roles() -> Vec<(RGBColor, String)> {
    let mut roles = vec![(INK, "ink".to_owned()), (GRID, "grid".into()), (BAD, "bad".into())];
    roles.extend((0..SERIES).map(|number| (series(number.into()), format!("series-{number}"))));
    roles
}

/// Letters.
pub(super) fn letters() -> TextStyle<'static> {
    ("sans-serif", LETTER).into_font().color(&INK)
}

/// Letters that stand to the left (`HPos::Right`) or right of their point.
pub(super) fn letters_at(position: HPos) -> TextStyle<'static> {
    letters().pos(Pos::new(position, VPos::Center))
}

/// A legend at the top of `area`, in as many lines as it takes; returns what is below it.
pub(super) fn legend<'a>(
    area: &Area<'a>,
    left: i32,
    entries: &[(&str, ShapeStyle)],
) -> Result<Area<'a>, DrawingAreaErrorKind<std::io::Error>> {
    const LINE: i32 = LETTER + 10;
    let right = area.dim_in_pixel().0 as i32;
    let (mut x, mut middle) = (left, LINE / 2);
    let mut places = Vec::new();
    for (text, _) in entries {
        // No font is measured: a letter is a little wider than half its height.
        let width = 32 + text.chars().count() as i32 * LETTER / 2;
        if x + width > right {
            (x, middle) = (left, middle + LINE);
        }
        places.push((x, middle));
        x += width;
    }
    let (top, rest) = area.split_vertically(middle + LINE / 2);
    for ((text, style), (x, middle)) in entries.iter().zip(places) {
        top.draw(&Rectangle::new([(x, middle - 5), (x + 10, middle + 5)], *style))?;
        top.draw(&Text::new((*text).to_owned(), (x + 15, middle), letters_at(HPos::Left)))?;
    }
    Ok(rest)
}

/// An axis of numbers.
pub(super) trait Axis: Ranged<ValueType = f64> + ValueFormatter<f64> {}

impl<T: Ranged<ValueType = f64> + ValueFormatter<f64>> Axis for T {}

/// A chart's labels and lines in the house's style.
fn styled<'m, 'a, 'b, 'c, X: Axis, Y: Axis>(
    mesh: &'m mut MeshStyle<'a, 'b, X, Y, SVGBackend<'c>>,
) -> &'m mut MeshStyle<'a, 'b, X, Y, SVGBackend<'c>> {
    mesh.bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK.mix(0.6))
        .label_style(letters())
        .axis_desc_style(letters())
}

/// The labels and lines of a chart of curves.
pub(super) fn mesh<'b, X: Axis, Y: Axis>(
    chart: &mut ChartContext<'_, SVGBackend<'b>, Cartesian2d<X, Y>>,
    (x_title, y_title): (&str, &str),
    (x_labels, y_labels): (usize, usize),
    x_text: &dyn Fn(&f64) -> String,
    y_text: &dyn Fn(&f64) -> String,
) -> DrawResult {
    styled(&mut chart.configure_mesh())
        .disable_x_mesh()
        .x_desc(x_title)
        .y_desc(y_title)
        .x_labels(x_labels)
        .y_labels(y_labels)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .draw()
}

/// The labels and lines of a chart of horizontal bars, which are named by its caller.
pub(super) fn bars_mesh<'b, X: Axis, Y: Axis>(
    chart: &mut ChartContext<'_, SVGBackend<'b>, Cartesian2d<X, Y>>,
    title: &str,
) -> DrawResult {
    styled(&mut chart.configure_mesh())
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(title)
        .x_labels(6)
        .x_label_formatter(&number)
        .draw()
}

/// A number with as many digits as help: `0.1`, `0.25`, `2.5`, `25`, `2,500`.
pub(super) fn number(value: &f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        thousands(value.round() as i64)
    } else if magnitude >= 10.0 || value.fract().abs() < 1e-9 {
        format!("{value:.0}")
    } else if magnitude >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}").trim_end_matches('0').to_owned()
    }
}

/// A count in groups of three digits.
pub(super) fn thousands(count: impl Display) -> String {
    let digits = count.to_string();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Where a scale from 0 should end for its largest value to have some air above it.
pub(super) fn from_zero(max: f64) -> Range<f64> {
    0.0..if max > 0.0 { max * 1.08 } else { 1.0 }
}

/// Whole decades around positive values.
pub(super) fn decades(values: impl IntoIterator<Item = f64>) -> Range<f64> {
    let positive = values.into_iter().filter(|value| *value > 0.0);
    let (min, max) = positive.fold((f64::MAX, 0.0_f64), |(min, max), value| (min.min(value), max.max(value)));
    if max == 0.0 {
        return 0.1..10.0;
    }
    let (low, high) = (min.log10().floor(), (max * 1.01).log10().ceil());
    10_f64.powf(low)..10_f64.powf(high.max(low + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.1, 0.25, 2.54, 25.4, 254.0, 2540.0, 1_234_567.0].map(|value| number(&value));
        assert_eq!(texts, ["0", "0.1", "0.25", "2.5", "25", "254", "2,540", "1,234,567"]);
        assert_eq!(thousands(-1000), "-1,000");
    }

    #[test]
    fn scales_hold_their_values() {
        assert_eq!(decades([0.3, 45.0, 0.0]), 0.1..100.0);
        assert_eq!(decades([]), 0.1..10.0);
        assert_eq!(decades([5.0]), 1.0..10.0);
        assert_eq!(from_zero(0.0), 0.0..1.0);
    }

    #[test]
    fn no_colour_is_left_as_a_number() {
        let plot = draw("a", "a < b", (200, 100), |area| {
            let style = series(2).mix(0.5).filled();
            area.draw(&Rectangle::new([(1, 1), (9, 9)], style))?;
            area.draw(&Text::new("ink", (20, 20), letters()))
        })
        .unwrap();
        assert!(plot.svg.contains("var(--series-2)") && plot.svg.contains("var(--ink)"), "{}", plot.svg);
        assert!(!plot.svg.contains("\"#"), "{}", plot.svg);
        assert!(plot.svg.contains("a &lt; b"));
    }
}
