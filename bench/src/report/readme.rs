//! The part of the READMEs that shows a committed run: a table and two plots, in each language.

use std::path::Path;

use super::plot::{number, thousands};
use crate::compare::model::{Entry, Run, Scenario, figure};
use crate::stats::{self, Sample};

/// The pages, and what stands around the part in each.
pub(super) const PAGES: [&str; 2] = ["README.md", "README.zh-CN.md"];
const MARKS: (&str, &str) = ("<!-- figures of a run -->", "<!-- end of the figures -->");

/// The page with another part between the marks; `None` where it has no such marks.
pub(super) fn put(page: &str, part: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}\n{part}{}{after}", MARKS.0, MARKS.1))
}

/// The load under which all do the same work.
const EQUAL: &str = "rate-8000";

/// The rounds of a run that the READMEs show, at least; `--quick` has three.
const ROUNDS_MIN: u32 = 5;

/// The part for each of [`PAGES`]; `None` of a run that is void, a mere look (too few rounds for its intervals, or no sweep), has not
/// both loads, or is kept elsewhere than in `bench/runs`.
pub(super) fn parts(run: &Run, folder: &Path) -> Option<[String; 2]> {
    let folder = folder.canonicalize().unwrap_or_default();
    let name = folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_kept = folder.parent().is_some_and(|parent| parent.ends_with("bench/runs"));
    let is_full = run.rounds >= ROUNDS_MIN && !run.sweeps.is_empty();
    if !is_kept || !run.voids.is_empty() || !is_full {
        return None;
    }
    let (saturated, equal) = (run.scenario("saturated")?, run.scenario(EQUAL)?);
    let (folder, rounds) = (format!("bench/runs/{name}"), run.rounds);
    let interval = run.interval_in_words();
    let covered = (100.0 * stats::coverage(rounds)).floor();
    let rows: String =
        run.subjects.iter().filter_map(|subject| row(run, saturated, equal, &subject.name)).collect();
    let rule = "|---|".to_owned() + &"---:|".repeat(8);
    let english = format!(
        "From [a committed run]({folder}/report.md) (command, versions, configurations and raw data there): one worker each on a core \
         of its own,\n\
         keep-alive, tiny bodies; medians of {rounds} alternating rounds, ratios taken round by round; ratios and p99 with their \
         {interval}. relay is a TCP relay that parses nothing.\n\
         `>`: the load's core was the limit, the subject could do more. –: not measured well enough to be shown; the report says why.\n\n\
         | | requests/s, saturated | CPU per request, µs | to the relay | to nginx | CPU to nginx at 8,000 requests/s \
         | p99 there, µs | system calls | user instructions |\n{rule}\n{rows}\n\
         ![CPU time per request by subject, in user and system time]({folder}/plots/cpu-saturated.svg)\n\
         ![Latency against offered load by subject, with the knee of each]({folder}/plots/knee.svg)\n"
    );
    let chinese = format!(
        "以下数字来自[一次随仓库提交的运行]({folder}/report.md)（命令、版本、配置和原始数据都在其中）：每个程序一个工作线程，独占一个核；\n\
         长连接，极小的正文；{rounds} 轮交替测量的中位数，比值逐轮计算；比值和 p99 附自助法（bootstrap）区间，真值有 {covered} % 的概率落在其中。relay 是不解析任何内容的 TCP 中继。\n\
         `>`：受限的是产生负载的核，程序本身还能做得更多。–：测量不够可靠，不予列出，原因见报告。\n\n\
         | | 饱和时每秒请求数 | 每个请求的 CPU 时间，µs | 比中继 | 比 nginx | 每秒 8,000 个请求时 CPU 比 nginx \
         | 此时 p99，µs | 系统调用 | 用户态指令 |\n{rule}\n{rows}\n\
         ![各程序每个请求的 CPU 时间，分用户态和内核态]({folder}/plots/cpu-saturated.svg)\n\
         ![各程序在不同负载下的延迟，以及各自的拐点]({folder}/plots/knee.svg)\n"
    );
    Some([english, chinese])
}

/// A subject's line; `None` of direct, which is none.
fn row(run: &Run, saturated: &Scenario, equal: &Scenario, subject: &str) -> Option<String> {
    if subject == "direct" {
        return None;
    }
    let (saturated, equal) = (saturated.entry(subject)?, equal.entry(subject)?);
    let cpu = saturated.figure(figure::CPU)?;
    let to_nginx = |entry: &Entry| ratio(entry.figure(figure::CPU).and_then(|cpu| cpu.to_nginx.as_ref()));
    let cells = [
        saturated.median(figure::REQUESTS).map(|value| saturated.at_least().to_owned() + &number(&value)),
        saturated.median(figure::CPU).map(|value| format!("{value:.1}")),
        ratio(cpu.to_floor.as_ref()),
        to_nginx(saturated),
        to_nginx(equal),
        equal.sample(figure::P99).map(with_interval),
        saturated.calls.as_ref().map(|calls| format!("{:.2}", calls.all)),
        run.instructions.get(subject).map(|count| thousands(count.round() as i64)),
    ];
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into())).collect();
    let info = run.subjects.iter().find(|info| info.name == subject)?;
    let name = match subject {
        "proxy" => "**proxy**".into(),
        "relay" => "relay".into(),
        peer => format!("{peer} {}", release(&info.version)),
    };
    Some(format!("| {name} | {} |\n", cells.join(" | ")))
}

/// The number in what a program says of its version, such as `nginx version: nginx/1.22.1`; empty where there is none.
fn release(version: &str) -> &str {
    let mut words = version.split(|c: char| !c.is_ascii_digit() && c != '.');
    let is_release =
        |word: &&str| word.split('.').count() == 3 && word.split('.').all(|part| !part.is_empty());
    words.find(is_release).unwrap_or_default()
}

fn with_interval(sample: &Sample) -> String {
    let [low, high] = sample.confidence;
    format!("{} ({}–{})", number(&sample.median), number(&low), number(&high))
}

fn ratio(sample: Option<&Sample>) -> Option<String> {
    let Sample { median, confidence: [low, high], .. } = sample?;
    Some(format!("{median:.2} ({low:.2}–{high:.2})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found() {
        for (version, number) in [
            ("nginx version: nginx/1.22.1", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"),
            ("version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"),
            ("2.6.2", "2.6.2"),
            ("unknown", ""),
        ] {
            assert_eq!(release(version), number);
        }
    }

    #[test]
    fn a_part_is_put_between_its_marks() {
        let page = format!("before\n{}\nold\n{}\nafter\n", MARKS.0, MARKS.1);
        let made = put(&page, "new\n").unwrap();
        assert_eq!(made, page.replace("old", "new"));
        assert_eq!(put(&made, "new\n").unwrap(), made);
        assert_eq!(put("a page without marks", ""), None);
    }
}
