"""What watches a run."""

from vae2ch.callbacks.collapse import Collapse
from vae2ch.callbacks.listening import Listening
from vae2ch.callbacks.progress import Progress
from vae2ch.callbacks.rescue import Rescue
from vae2ch.callbacks.verdict import Verdict

__all__ = ["Collapse", "Listening", "Progress", "Rescue", "Verdict"]
