"""Lightning callbacks: what is shown, measured and saved while a codec trains."""
