<?php
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    header('X-Made-By: form.php');
    http_response_code(201);
    echo 'Hello, ' . htmlspecialchars($_POST['name'] ?? 'you') . "!\n";
    foreach ($_FILES as $file) {
        echo htmlspecialchars($file['name']) . ' has ' . $file['size'] . " bytes\n";
    }
    exit;
}
?>
<!doctype html>
<form method="post" enctype="multipart/form-data">
  <label>Your name <input name="name"></label>
  <label>A file <input name="file" type="file"></label>
  <button>Send</button>
</form>
