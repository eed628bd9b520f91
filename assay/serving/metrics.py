"""What the service counts, in the text format of Prometheus."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)


@dataclass(slots=True)
class Metrics:
    """Counts since the service started. Used by its event loop alone."""

    requests: Counter[int] = field(default_factory=Counter)
    keys: int = 0
    states: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    buckets: Counter[float] = field(default_factory=Counter)

    def request(self, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests[status] += 1
        self.seconds += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                self.buckets[bound] += 1

    def text(self, busy: int, generations: Iterable[tuple[str, int, float]]) -> str:
        """The metrics.

        Args:
            busy: Requests that are being worked on, or wait.
            generations: Of each set that is served its name, its generation's number, and the generation's age in seconds.
        """
        lines = _head("assay_features_requests_total", "counter", "Requests for features, by status.")
        lines += [f'assay_features_requests_total{{status="{s}"}} {n}' for s, n in sorted(self.requests.items())]
        lines += _head("assay_features_request_seconds", "histogram", "Time from a request to its answer.")
        lines += [f'assay_features_request_seconds_bucket{{le="{b}"}} {self.buckets[b]}' for b in BUCKETS]
        total = sum(self.requests.values())
        lines += [
            f'assay_features_request_seconds_bucket{{le="+Inf"}} {total}',
            f"assay_features_request_seconds_sum {self.seconds:.6f}",
            f"assay_features_request_seconds_count {total}",
        ]
        lines += _head("assay_features_keys_total", "counter", "Keys that were answered.")
        lines.append(f"assay_features_keys_total {self.keys}")
        lines += _head("assay_features_values_total", "counter", "Keys by set, view and state.")
        lines += [
            f'assay_features_values_total{{set="{one}",view="{view}",state="{state}"}} {number}'
            for (one, view, state), number in sorted(self.states.items())
        ]
        lines += _head("assay_features_busy", "gauge", "Requests that are being worked on, or wait.")
        lines.append(f"assay_features_busy {busy}")
        lines += _head("assay_features_generation", "gauge", "The generation that is served.")
        found = sorted(generations)
        lines += [f'assay_features_generation{{set="{name}"}} {number}' for name, number, _ in found]
        lines += _head("assay_features_generation_age_seconds", "gauge", "How long ago the generation was made.")
        lines += [f'assay_features_generation_age_seconds{{set="{name}"}} {age:.1f}' for name, _, age in found]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
