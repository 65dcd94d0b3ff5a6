"""AuditResult -> page, terminal, Markdown, JUnit, SARIF, GitHub. It computes nothing of its own but positions on paper."""
