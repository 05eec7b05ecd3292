#!/usr/bin/env python3
"""The report of lab: every tag closed, nothing loaded, a row a run; with --browser, as headless Chromium shows it.

    report.py LAB             a small experiment is run, its page parsed
    report.py LAB --browser   and opened at phone and desktop width, light and dark, and printed; 77 without Chromium
    report.py --self-test     the checks find what is wrong
"""
import html
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

VOID = {"meta", "link", "br", "hr", "img", "input", "col", "wbr"}

EXPERIMENT = {
    "tasks": ["passkey", "key_value"],
    "policies": ["full", "streaming_llm", "tova", {"policy": "lsh", "set": ["bits=8"]}],
    "budgets": ["25%", "50%"], "seeds": [1, 2], "samples": 3, "lengths": 150,
}

# Appended to a copy of the page: says what the reader's browser made of it.
MEASURE = """<script>
window.broken = [];
addEventListener('error', e => window.broken.push(String(e.message || e.target.tagName)), true);
document.addEventListener('securitypolicyviolation', e => window.broken.push('wanted ' + e.blockedURI + ' for ' + e.violatedDirective));
addEventListener('load', () => setTimeout(() => {
  const wide = document.documentElement.clientWidth, out = [];
  for (const e of document.querySelectorAll('main *')) {
    if (e.closest('.box') && !e.classList.contains('box')) continue;
    if (e.getBoundingClientRect().right > wide + 1) out.push(e.tagName + '.' + e.className);
  }
  const pre = document.createElement('pre');
  pre.id = 'measured';
  pre.textContent = JSON.stringify({width: innerWidth, page: document.documentElement.scrollWidth, client: wide, out: out.slice(0, 5),
    rows: document.querySelectorAll('tr[data-run]').length, pictures: document.querySelectorAll('svg').length,
    loaded: performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith('data:')),
    ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    broken: window.broken});
  parent.document.body.append(pre);
}, 50));
</script>"""
POLICY = ("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline'; img-src data:\">")


class page_parser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.rows, self.ids, self.links = [], [], 0, set(), []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "script":
            self.wrong.append("a script")
        for name, value in attributes:
            if name.startswith("on"):
                self.wrong.append("%s of %s is a script" % (name, tag))
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
                if value.startswith("#"):
                    self.links.append(value[1:])
                elif not value.startswith("data:"):
                    self.wrong.append("%s of %s loads %s" % (name, tag, value))
            if name == "style" and "url(" in value:
                self.wrong.append("the style of %s loads %s" % (tag, value))
        if "id" in given:
            if given["id"] in self.ids:
                self.wrong.append("id %s stands twice" % given["id"])
            self.ids.add(given["id"])
        self.rows += tag == "tr" and "data-run" in given
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.wrong.append("</%s> closes %s at line %d" % (tag, self.open[-1:], self.getpos()[0]))
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "style" and re.search(r"url\(|@import|https?:", data):
            self.wrong.append("the style loads something")


def faults_of(page, runs):
    parser = page_parser()
    parser.feed(page)
    parser.close()
    wrong = parser.wrong + ["%s is not closed" % tag for tag in parser.open]
    wrong += ["a link goes to #%s, which is not there" % one for one in parser.links if one not in parser.ids]
    if parser.rows != runs:
        wrong.append("%d rows for %d runs" % (parser.rows, runs))
    if re.search(r"\b(nan|inf)\b", re.sub(r"<code>.*?</code>|<style>.*?</style>", "", page, flags=re.S)):
        wrong.append("a figure is no number")
    return wrong


def self_test():
    good = '<!DOCTYPE html><html><body><table><tr data-run=""><td>1 &lt; 2</td></tr></table><a href="#x" id="x">x</a></body></html>'
    bad = [good.replace("</td>", ""), good.replace("#x", "http://x.org/a"), good.replace("#x", "#y"),
           good.replace("</body>", "<script>1</script></body>"), good.replace(' data-run=""', ""), good.replace("1 &lt; 2", "nan"),
           good.replace("<body>", "<body onload=\"f()\">"), good.replace("<body>", "<body><img src=\"a.png\">")]
    assert faults_of(good, 1) == [], faults_of(good, 1)
    for page in bad:
        assert faults_of(page, 1), page


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    return None


def shown(browser, folder, page, *options):
    """Standard output and error of the browser on the page."""
    line = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--user-data-dir=" + os.path.join(folder, "profile"), "--virtual-time-budget=3000", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND", *options, "file://" + page]
    done = subprocess.run(line, capture_output=True, timeout=120)
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def look(browser, folder, page, runs):
    wrong = []
    text = open(page, encoding="utf-8").read()
    measured = html.escape(text.replace("<head>", "<head>" + POLICY).replace("<main>", MEASURE + "<main>", 1))
    copy = os.path.join(folder, "measured.html")
    grounds = set()
    for width, dark in ((390, False), (390, True), (1280, False)):
        where = "%d px%s: " % (width, ", dark" if dark else "")
        with open(copy, "w", encoding="utf-8") as file:  # a window is 500 px wide at least, a frame may be narrower
            file.write('<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe style="border:0" width="%d" '
                       'height="844" srcdoc="%s"></iframe></body>' % (width, measured))
        options = ["--window-size=1400,900", "--dump-dom"]
        if dark:
            options.append("--blink-settings=preferredColorScheme=0")
        out, err = shown(browser, folder, copy, *options)
        found = re.search(r'<pre id="measured">(.*?)</pre>', out, re.S)
        if not found:
            wrong.append(where + "the page was not shown: " + err[-300:])
            continue
        seen = json.loads(found.group(1).replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
        if seen["width"] != width:
            wrong.append(where + "the window is %d px wide" % seen["width"])
        if seen["page"] > seen["client"] or seen["out"]:
            wrong.append(where + "the page is %d px wide; out of it: %s" % (seen["page"], seen["out"]))
        if seen["rows"] != runs or seen["pictures"] == 0:
            wrong.append(where + "%d rows for %d runs, %d pictures" % (seen["rows"], runs, seen["pictures"]))
        if seen["loaded"] or seen["broken"]:
            wrong.append(where + "loaded %s, broken %s" % (seen["loaded"], seen["broken"]))
        wrong += [where + line for line in err.splitlines() if "CONSOLE" in line]
        grounds.add((dark, seen["ground"]))
    if len({ground for dark, ground in grounds}) != 2:
        wrong.append("light and dark have the grounds %s" % sorted(grounds))
    pdf = os.path.join(folder, "report.pdf")
    shown(browser, folder, page, "--print-to-pdf=" + pdf, "--no-pdf-header-footer")
    printed = open(pdf, "rb").read() if os.path.exists(pdf) else b""
    if not printed.startswith(b"%PDF") or len(re.findall(rb"/Type\s*/Page\b", printed)) < 1:
        wrong.append("the page cannot be printed")
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    lab, browse = sys.argv[1], "--browser" in sys.argv
    browser = chromium()
    if browse and browser is None:
        print("skipped: no chromium here; apt-get install chromium")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        file, out = os.path.join(folder, "experiment.json"), os.path.join(folder, "results")
        with open(file, "w") as experiment:
            json.dump(EXPERIMENT, experiment)
        done = subprocess.run([lab, "experiment", file, "--out", out, "--jobs", "2"], capture_output=True, text=True)
        if done.returncode != 0 or done.stderr:
            print("lab ended with status %d: %s" % (done.returncode, done.stderr))
            return 1
        page = os.path.join(out, "report.html")
        before = open(page, encoding="utf-8").read()
        subprocess.run([lab, "report", out], check=True, capture_output=True)
        text = open(page, encoding="utf-8").read()
        runs = 2 * 2 * (1 + 3 * 2)
        wrong = [] if before == text else ["lab report writes another page than the experiment did"]
        wrong += faults_of(text, runs)
        if browse and not wrong:
            wrong += look(browser, folder, page, runs)
    for line in wrong:
        print("report.html: " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
