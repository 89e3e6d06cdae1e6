from rig import answering, backends, connect, rule, running


async def test_get():
    async with backends(answering) as [backend], running(rule("apps/web:80")) as rig:
        rig.put("apps/web:80", backend.port)
        client = await connect(rig.port)
        for _ in range(3):
            await client.send(b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            status, _, body = await client.response()
            assert (status, body) == (200, b"ok")
        assert backend.connections == 1
