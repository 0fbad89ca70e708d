# The emulator's image: one static binary, nothing else. Build the context with the dist build (ci/test makes it):
#   docker build -t nuage-emulator --build-arg DIST=target/x86_64-unknown-linux-gnu/dist .
#   docker run --rm --network host -v /tmp/nuage:/data nuage-emulator
FROM scratch
ARG DIST=.
COPY ${DIST}/emulator /usr/bin/emulator
ENTRYPOINT ["/usr/bin/emulator"]
CMD ["up", "--dir", "/data"]
