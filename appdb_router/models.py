"""No models yet; with this module the app takes part in the signals around migrations."""
