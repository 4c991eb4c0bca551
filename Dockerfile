FROM python:3.12-slim
# What OpenCV's windows need, and `make`.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 libsm6 libxext6 make && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Apart from the source, which changes more often than these gigabytes, and where `make train` looks for them.
COPY requirements.txt ./
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir -r requirements.txt
COPY . .
RUN make setup
# With `docker run --user`, whose home does not exist, HOME is for what torch and matplotlib keep.
ENV PATH=/app/.venv/bin:$PATH HOME=/tmp
CMD ["python", "train.py", "--help"]
