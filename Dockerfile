# One image for every role; which one runs is the command's last word.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements/run.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --require-hashes -r run.txt

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0
RUN useradd --create-home --uid 10001 signalstack && mkdir /data && chown signalstack /data
COPY --from=build /venv /venv
WORKDIR /app
COPY pyproject.toml README.md ./
COPY core core
COPY bot bot
COPY webhooks webhooks
COPY migrations migrations
USER signalstack
EXPOSE 8080
# SIGTERM stops intake, finishes what is in flight and ends within 25 seconds.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "bot"]
CMD ["run"]
