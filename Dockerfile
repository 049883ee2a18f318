# One image for every role; which one runs is the command's last word.
FROM python:3.12-slim-trixie AS build
WORKDIR /build
COPY requirements/run.txt requirements/observe.txt ./
# "observe" also brings what SENTRY_DSN and OTEL_EXPORTER_OTLP_ENDPOINT need.
ARG REQUIREMENTS=run
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r ${REQUIREMENTS}.txt

FROM python:3.12-slim-trixie AS product
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
RUN useradd --create-home --uid 10001 signalstack && mkdir /data /backups && chown signalstack /data /backups
COPY --from=build /venv /venv
WORKDIR /app
COPY pyproject.toml README.md ./
COPY core core
COPY bot bot
COPY webhooks webhooks
COPY migrations migrations
# Compiled here, because no process may write there, and each would compile all of it again at its start.
RUN python -m compileall -q core bot webhooks migrations
USER signalstack
EXPOSE 8080
# SIGTERM stops intake, finishes what is in flight and ends within 25 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "bot"]
CMD ["run"]

# The product with pg_dump and pg_restore of PostgreSQL 17, for `signalstack backup` and `signalstack restore-drill`.
FROM product AS backup
USER root
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/*
USER signalstack

# The last stage is what is built without a word.
FROM product
