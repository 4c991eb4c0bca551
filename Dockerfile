FROM python:3.12-slim
# What OpenCV's windows need, and `make`.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 libsm6 libxext6 make && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Apart from the source, which changes more often than these gigabytes.
COPY requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN python -m utils.fix_opencv
# With `docker run --user`, whose home does not exist, for what torch and matplotlib keep.
ENV HOME=/tmp
CMD ["python", "train.py", "--help"]
