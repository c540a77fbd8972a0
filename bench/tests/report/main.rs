//! `bench report` in a real browser: every plot is there, nothing runs out of its frame, and all words can be read, in light
//! and in dark.

mod browser;
mod data;

use std::fs;
use std::path::Path;

use bench::compare::model::{Run, figure};
use bench::report::{Options, ReportError, run as run_report};
use bench::stats::Sample;
use browser::{Browser, Scheme};

fn report(folder: &Path) -> Result<(), ReportError> {
    run_report(&Options { folder: folder.to_owned(), out: None, readmes: None })
}

#[test]
fn the_page_is_readable_in_light_and_in_dark() {
    let folder = tempfile::tempdir().unwrap();
    data::write_all(folder.path());
    report(folder.path()).unwrap();
    let page = folder.path().join("report.html");
    let browser = Browser::find();
    for scheme in [Scheme::Light, Scheme::Dark] {
        for width in [1280, 420] {
            let seen = browser.look_at(&page, scheme, width);
            assert_eq!(seen.problems, Vec::<String>::new(), "{scheme:?}, {width} px wide");
            assert_eq!(seen.plots, fs::read_dir(folder.path().join("plots")).unwrap().count());
            assert_eq!(seen.is_dark, scheme == Scheme::Dark);
        }
        let picture =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{scheme:?}.png").to_lowercase());
        browser.picture(&page, scheme, &picture);
        println!("{}", picture.display());
    }
}

#[test]
fn every_plot_stands_on_its_own_too() {
    let folder = tempfile::tempdir().unwrap();
    data::write_all(folder.path());
    report(folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("report.md")).unwrap();
    let mut count = 0;
    for file in fs::read_dir(folder.path().join("plots")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let svg = fs::read_to_string(file.path()).unwrap();
        assert!(svg.contains("prefers-color-scheme") && !svg.contains("fill=\"#"), "{name}");
        assert!(markdown.contains(&format!("](plots/{name})")), "{name}");
        count += 1;
    }
    assert!(count >= 10, "{count}");
    for file in ["run.json", "balance.json", "faults.json"] {
        assert!(markdown.contains(&format!("[{file}]({file})")), "{file}");
    }
    // A table's rows are as wide as its head.
    let bars = |line: &str| line.matches('|').count();
    let lines: Vec<&str> = markdown.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
        assert_eq!(bars(pair[0]), bars(pair[1]), "{pair:?}");
    }
}

#[test]
fn what_cannot_be_reported_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = report(folder.path()).unwrap_err().to_string();
    assert!(error.contains("none of run.json"), "{error}");
    fs::write(folder.path().join("faults.json"), "{}").unwrap();
    let error = report(folder.path()).unwrap_err().to_string();
    assert!(error.contains("faults.json: missing field"), "{error}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The run that a page shows, by the first link to one.
fn run_in(page: &str) -> String {
    let page = fs::read_to_string(root().join(page)).unwrap();
    page.split_once("](bench/runs/").unwrap().1.split_once('/').unwrap().0.to_owned()
}

/// The run that the READMEs show.
fn committed() -> (String, Run) {
    let name = run_in("README.md");
    assert_eq!(run_in("README.zh-CN.md"), name);
    let text = fs::read_to_string(root().join("bench/runs").join(&name).join("run.json")).unwrap();
    (name, serde_json::from_str(&text).unwrap())
}

/// Makes the part anew from the run and puts it into copies of the pages: nothing may change. Beside it lie a failure lab and the
/// methods of balancing, as scripts/compare.sh --faults leaves them: all of it is one page, on which the run's own figures fit.
#[test]
fn the_readmes_show_a_committed_run() {
    let (name, _) = committed();
    let copy = tempfile::tempdir().unwrap();
    let folder = copy.path().join("bench/runs").join(&name);
    fs::create_dir_all(&folder).unwrap();
    data::write_all(&folder);
    fs::copy(root().join("bench/runs").join(&name).join("run.json"), folder.join("run.json")).unwrap();
    let pages = ["README.md", "README.zh-CN.md"];
    for page in pages {
        fs::copy(root().join(page), copy.path().join(page)).unwrap();
    }
    let page = folder.join("report.html");
    run_report(&Options { folder, out: None, readmes: Some(copy.path().to_owned()) }).unwrap();
    let html = fs::read_to_string(&page).unwrap();
    for section in ["compare", "faults", "balance"] {
        assert!(html.contains(&format!("<h2 id=\"{section}\">")), "{section}");
    }
    let seen = Browser::find().look_at(&page, Scheme::Light, 1280);
    assert_eq!(seen.problems, Vec::<String>::new());
    for page in pages {
        let [made, there] =
            [copy.path(), root()].map(|folder| fs::read_to_string(folder.join(page)).unwrap());
        assert_eq!(made, there, "{page}");
    }
}

#[test]
fn the_readmes_show_no_mere_look() {
    let (_, run) = committed();
    let copy = tempfile::tempdir().unwrap();
    let folder = copy.path().join("bench/runs/look");
    fs::create_dir_all(&folder).unwrap();
    let few = Run { rounds: 3, ..run.clone() };
    let no_sweep = Run { sweeps: Vec::new(), ..run };
    for look in [few, no_sweep] {
        fs::write(folder.join("run.json"), serde_json::to_string(&look).unwrap()).unwrap();
        let options = Options { folder: folder.clone(), out: None, readmes: Some(copy.path().to_owned()) };
        assert!(matches!(run_report(&options), Err(ReportError::NotForReadme(_))));
    }
}

/// What a page says of a run has to be so.
#[test]
fn a_page_claims_no_more_than_its_rounds_give() {
    let folder = tempfile::tempdir().unwrap();
    data::write_all(folder.path());
    report(folder.path()).unwrap();
    let markdown = fs::read_to_string(folder.path().join("report.md")).unwrap();
    // It has three.
    assert!(markdown.contains("bootstrap interval, which covers the true one in 75 % of all cases"));
    assert!(markdown.contains("p99.99, µs") && markdown.contains("saturated, KiB"));
    assert!(markdown.contains("3 good rounds, of which") && markdown.contains("core 0 to itself"));
    assert!(markdown.contains("Cores without work stay awake."));
    assert!(markdown.contains("shown where it has 100 clock ticks"));
    let table = |title: &str, head: &str, subject: &str| {
        let block = markdown.split_once(&format!("### {title}")).unwrap().1;
        let block = block.split("### ").next().unwrap();
        let rows = block.split_once(&format!("| subject | {head} |")).unwrap_or_else(|| panic!("{block}")).1;
        rows.lines().find(|line| line.starts_with(&format!("| {subject} |"))).unwrap().to_owned()
    };
    let (open, closed) = ("small page, 8000", "small page, 64");
    // All of a row are of all rounds, or are called otherwise.
    let pooled = "p50, µs | p99, µs | p99.9, µs | p99.99, µs";
    let by_round = "p50 by round, µs | to relay | to nginx";
    assert!(table(open, pooled, "proxy").contains("| 280 | 1,120 | 4,200 | 11,200 |"));
    let row = table(open, &format!("{by_round} | over direct, µs"), "proxy");
    assert!(row.contains("| 266 (239 to 319) |") && row.ends_with("| 42 |"), "{row}");
    let row = table(open, "p99 by round, µs | to relay | to nginx", "proxy");
    assert!(row.contains("| 9,800 ("), "{row}");
    // In a queue nothing is added to that of direct, and it would be shorter with another load.
    assert!(table(closed, pooled, "proxy").contains("| < 280 | < 1,120 |"));
    assert!(table(closed, by_round, "proxy").contains("| < 266 ("));
    let throughput = "requests/s | to relay | to nginx | core busy, % | MB per CPU second";
    assert!(table(closed, throughput, "proxy").contains("| > 4,286 ("));
    // One subject's CPU time has no split; that of direct is not known.
    let plot = fs::read_to_string(folder.path().join("plots/cpu-rate-8000.svg")).unwrap();
    assert!(plot.contains("split not known") && plot.contains("pingora") && !plot.contains("direct"));
    let knee = |subject: &str| {
        let row = |line: &&str| line.starts_with(&format!("| {subject} |"));
        let table = markdown.split_once("| subject | knee,").unwrap().1;
        table.lines().find(row).unwrap().split('|').nth(2).unwrap().trim().to_owned()
    };
    assert!(knee("direct").starts_with("at least"), "limited by the load");
    assert!(knee("pingora").starts_with("at least"), "all rates were served");
    assert!(knee("nginx").starts_with('–'), "disturbed");
    assert!(!knee("proxy").starts_with("at least"));
}

/// A record, not a measurement of this machine: what the committed run says of the generator's CPU time for a request, with nothing
/// between it and the origin, against nginx's at full batches. It holds whoever commits another run to the same claim.
#[test]
fn one_generator_could_drive_three_of_nginx() {
    let (_, run) = committed();
    let saturated = run.scenario("saturated").unwrap();
    let rounds = saturated.entry("direct").unwrap().rounds.iter();
    let generator = Sample::of(rounds.map(|round| round.load.generator_cpu_us_per_request)).unwrap().median;
    let nginx = saturated.entry("nginx").unwrap().median(figure::CPU).unwrap();
    assert!(3.0 * generator <= nginx, "{generator} µs for a request, nginx {nginx} µs");
}
