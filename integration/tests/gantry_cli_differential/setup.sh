# What the lines of lines.txt find: image bb, containers up (running), gone (exited 3), network net1, volume vol1.
set -e
tar -C "$ROOTFS" -c . | docker import -c 'CMD ["sh"]' -c 'ENV PATH=/bin' -c 'LABEL x=y' -c 'EXPOSE 80' - bb >/dev/null
docker tag bb bb:two
docker network create --label a=b net1 >/dev/null
docker volume create --label k=v vol1 >/dev/null
docker run -d --name up --network net1 --network-alias ali -p 127.0.0.1:8080:80 -v vol1:/data -e A=1 -l l=1 --hostname box bb sleep 100000 >/dev/null
docker run --name gone bb sh -c 'echo out; echo err >&2; exit 3' >/dev/null 2>&1 || [ $? = 3 ]
