FROM python:3.12-slim
# What OpenCV's windows need; `make` and the font for labels.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0t64 libsm6 libxext6 make && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt ./
COPY utils utils
RUN pip install --no-cache-dir -r requirements.txt && python -m utils.fix_opencv
COPY . .
CMD ["python", "train.py", "--help"]
