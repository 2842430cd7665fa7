# The service in a container, and the same file as a Hugging Face Space (sdk: docker, app_port: 7860):
#   docker build -t mnistry . && docker run --read-only --tmpfs /tmp -v mnistry:/data -p 7860:7860 mnistry
FROM python:3.11-slim AS build
COPY . /src
RUN python -m venv /app
RUN /app/bin/pip install --no-cache-dir "/src[serve]"

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 mnistry
RUN install --directory --owner=1000 --group=1000 /data
COPY --from=build /app /app
# Nothing but corrections is written, and they go to /data: the root may be read-only.
ENV MNISTRY_HOME=/data MNISTRY_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1
USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
  CMD ["/app/bin/python", "-c", "from urllib.request import urlopen as u; u('http://127.0.0.1:7860/v2/health/ready', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["/app/bin/mnistry", "serve", "--host", "0.0.0.0", "--port", "7860", "--allow-host", "*.hf.space", "--allow-frame", "https://huggingface.co"]
