"""Answers the requests of several graphs in one process, and writes what its metrics page has then."""

import json
import sys
from pathlib import Path

from graphc_runtimes.cases import answer_cases
from prometheus_client import generate_latest

job = json.load(sys.stdin)
answers = [answer_cases(each) for each in job["jobs"]]
Path(job["result"]).write_text(json.dumps({"answers": answers, "metrics": generate_latest().decode()}))
