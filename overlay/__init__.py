"""The window over the video: who is speaking, drawn with Qt from the newest result.

Nothing here is imported by the engine, and no Qt by `kikiwake.overlay` itself, `shown`, `feed`,
`marks`, `place` and `words`: `app` loads it when the window is wanted.
"""
